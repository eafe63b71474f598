// Reasons that share a result code, by the numbers of the document; and every state in which a call comes.

#include "client.h"

// Of an object of the DLL and of one of a program that has the repository open: the answers are the same.
void moments(IClassFactory *factory) {
  BackupRestore owner, other;
  create(factory, owner);
  create(factory, other);
  if (!owner || !other) return;
  std::wstring file = at(L"states.cimbak"), none = at(L"none.cimbak");
  check_reason("Resume without Pause", owner->Resume(), WBEM_E_INVALID_OPERATION, 103);
  check_code("Backup", owner->Backup(file.c_str(), 0), S_OK);
  check_code("Pause", owner->Pause(), S_OK);
  check_reason("Pause again", owner->Pause(), WBEM_E_INVALID_OPERATION, 101);
  check_reason("Pause by another object", other->Pause(), WBEM_E_INVALID_OPERATION, 102);
  check_reason("Resume by another object", other->Resume(), WBEM_E_INVALID_OPERATION, 102);
  check_reason("Restore by the owner while paused", owner->Restore(file.c_str(), 1), WBEM_E_INVALID_OPERATION, 101);
  check_reason("Restore by another while paused", other->Restore(file.c_str(), 1), WBEM_E_INVALID_OPERATION, 102);
  check_code("Backup by another while paused", other->Backup(file.c_str(), 0), S_OK);
  check_code("Resume", owner->Resume(), S_OK);
  check_reason("Resume again", owner->Resume(), WBEM_E_INVALID_OPERATION, 103);

  check_reason("Backup with a flag", owner->Backup(none.c_str(), 1), WBEM_E_INVALID_PARAMETER, 409);
  check_reason("Restore with a flag that is none", owner->Restore(file.c_str(), 2), WBEM_E_INVALID_PARAMETER, 409);
  check_reason("Backup to NULL", owner->Backup(nullptr, 0), WBEM_E_INVALID_PARAMETER, 403);
  check_reason("Restore from an empty path", owner->Restore(L"", 0), WBEM_E_INVALID_PARAMETER, 403);
  check_reason("Backup to a directory", owner->Backup(place.c_str(), 0), WBEM_E_INVALID_PARAMETER, 404);
  check_reason("Restore from no backup", owner->Restore(at(L"repository\\INDEX.BTR").c_str(), 0), WBEM_E_INVALID_PARAMETER, 402);
  check_reason("Restore from nothing", owner->Restore(none.c_str(), 0), HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND), 0);
  std::vector<char> bytes = content(file);
  put(none, std::vector<char>(bytes.begin(), bytes.begin() + bytes.size() / 2));
  check_reason("Restore from half a backup", owner->Restore(none.c_str(), 0), WBEM_E_CRITICAL_ERROR, 311);
  bytes[bytes.size() / 2] ^= 1;
  put(none, bytes);
  check_reason("Restore from a changed backup", owner->Restore(none.c_str(), 0), WBEM_E_CRITICAL_ERROR, 312);
  DeleteFileW(none.c_str());
}

HANDLE hold_lock(const std::wstring &path) {
  HANDLE file = CreateFileW(path.c_str(), GENERIC_WRITE, FILE_SHARE_READ, nullptr, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, nullptr);
  const char note[] = "process 1 (client)";
  DWORD count = 0;
  if (file == INVALID_HANDLE_VALUE || !WriteFile(file, note, sizeof note - 1, &count, nullptr)) check_that("the client takes a lock", 0);
  return file;
}

void locked(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  HANDLE lock = hold_lock(at(L"repository\\cimrepo.lock"));
  check_reason("Pause while another process has the repository", object->Pause(), WBEM_E_INVALID_OPERATION, 111);
  check_code("Backup meanwhile", object->Backup(at(L"states.cimbak").c_str(), 0), S_OK);
  check_reason("Restore meanwhile", object->Restore(at(L"states.cimbak").c_str(), 1), WBEM_E_INVALID_OPERATION, 111);
  CloseHandle(lock);
  check_code("Pause when it has gone", object->Pause(), S_OK);
  check_code("Resume", object->Resume(), S_OK);
}
