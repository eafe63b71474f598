// Names that Windows takes for others, and files that are no backups: none of them is destroyed.

#include "client.h"

namespace {
const DWORD reserved_name = 406, ambiguous_name = 407, overwrite = 408;

struct Spelling {
  const char *what;
  std::wstring path;
  DWORD number;
};

std::wstring short_name(const std::wstring &path) {
  wchar_t text[1024] = L"";
  GetShortPathNameW(path.c_str(), text, 1024);
  return text;
}

// The library alone, as a shim has it, does not know hard links: it sees a file that is no backup.
bool is_ours() { return IsEqualCLSID(class_id, CLSID_Cimrepo); }

void refused(IWbemBackupRestoreEx *object, const Spelling &spelling) {
  HRESULT code = object->Backup(spelling.path.c_str(), 0);
  if (is_ours()) check_reason(spelling.what, code, WBEM_E_INVALID_PARAMETER, spelling.number);
  else check_code(spelling.what, code, WBEM_E_INVALID_PARAMETER);
  check_code("the repository is whole after that", object->Backup(at(L"whole.cimbak").c_str(), 0), S_OK);
}

void spelled(IWbemBackupRestoreEx *object) {
  std::wstring repository = at(L"repository\\"), index = repository + L"INDEX.BTR", heap = repository + L"OBJECTS.DATA";
  const Spelling spellings[] = {
      {"Backup to the heap with a dot", heap + L".", ambiguous_name},
      {"Backup to the index with a blank", index + L" ", ambiguous_name},
      {"Backup to a mapping with dots and blanks", repository + L"MAPPING1.MAP. .", ambiguous_name},
      {"Backup to the heap as its stream", heap + L"::$DATA", ambiguous_name},
      {"Backup to a stream of the heap", heap + L":more", ambiguous_name},
      {"Backup to a device", repository + L"NUL", ambiguous_name},
      {"Backup to a device with an ending", at(L"com1.cimbak"), ambiguous_name},
      {"Backup to a path of devices", L"\\\\.\\" + index, ambiguous_name},
      {"Backup to a stream, verbatim", L"\\\\?\\" + index + L"::$DATA", ambiguous_name},
      {"Backup to the index, verbatim", L"\\\\?\\" + index, reserved_name},
      {"Backup to the index in other letters", repository + L"index.BTR", reserved_name},
      {"Backup to the index by a way round", repository + L"..\\repository\\.\\INDEX.BTR", reserved_name},
  };
  for (const Spelling &spelling : spellings) refused(object, spelling);
  std::wstring shorter = short_name(heap);
  if (shorter.empty() || shorter == heap) printf("     the volume has no short names\n");
  else refused(object, {"Backup to the short name of the heap", shorter, reserved_name});
  std::wstring link = repository + L"linked.bak";
  check_that("the client makes a hard link", CreateHardLinkW(link.c_str(), heap.c_str(), nullptr));
  refused(object, {"Backup to a hard link of the heap", link, reserved_name});
  DeleteFileW(link.c_str());
}

void overwritten(IWbemBackupRestoreEx *object) {
  std::wstring notes = at(L"notes.txt");
  const std::vector<char> text = {'n', 'o', 't', 'e', 's'};
  put(notes, text);
  check_reason("Backup over a file that is no backup", object->Backup(notes.c_str(), 0), WBEM_E_INVALID_PARAMETER, overwrite);
  check_that("it is as it was", content(notes) == text);
  put(notes, {});
  check_code("Backup over an empty file", object->Backup(notes.c_str(), 0), S_OK);
  check_code("Backup over a backup", object->Backup(notes.c_str(), 0), S_OK);
  check_code("which is one", object->Restore(notes.c_str(), 0), S_OK);
}
} // namespace

void names(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  spelled(object.get());
  overwritten(object.get());
}
