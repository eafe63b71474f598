// Backup and Restore: arguments, paths, what is left behind.

#include "client.h"

std::vector<char> content(const std::wstring &path) {
  HANDLE file = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                            OPEN_EXISTING, 0, nullptr);
  std::vector<char> bytes;
  if (file == INVALID_HANDLE_VALUE) return bytes;
  bytes.resize(GetFileSize(file, nullptr));
  DWORD count = 0;
  if (!ReadFile(file, bytes.data(), static_cast<DWORD>(bytes.size()), &count, nullptr)) count = 0;
  CloseHandle(file);
  bytes.resize(count);
  return bytes;
}

void put(const std::wstring &path, const std::vector<char> &bytes) {
  HANDLE file = CreateFileW(path.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
  DWORD count = 0;
  bool written = file != INVALID_HANDLE_VALUE &&
                 WriteFile(file, bytes.data(), static_cast<DWORD>(bytes.size()), &count, nullptr) && count == bytes.size();
  CloseHandle(file);
  if (!written) check_that("the client writes a file", 0);
}

static int entries(const std::wstring &directory) {
  WIN32_FIND_DATAW found;
  HANDLE search = FindFirstFileW((directory + L"\\*").c_str(), &found);
  int count = 0;
  if (search == INVALID_HANDLE_VALUE) return count;
  do count += found.cFileName[0] != L'.';
  while (FindNextFileW(search, &found));
  FindClose(search);
  return count;
}

static void refused_backups(IWbemBackupRestoreEx *object) {
  std::wstring none = at(L"none.cimbak");
  for (LONG flags : {1, 2, 7, -1})
    check_code("Backup with a flag", object->Backup(none.c_str(), flags), WBEM_E_INVALID_PARAMETER);
  check_that("the text says why", has(error_text(), L"flag"));
  check_that("no file was made", !is_there(none));
  check_code("Backup to NULL", object->Backup(nullptr, 0), WBEM_E_INVALID_PARAMETER);
  check_code("Backup to an empty path", object->Backup(L"", 0), WBEM_E_INVALID_PARAMETER);
  check_code("Backup to a directory", object->Backup(place.c_str(), 0), WBEM_E_INVALID_PARAMETER);
  check_code("Backup to a path that ends as a directory", object->Backup(at(L"x\\").c_str(), 0), WBEM_E_INVALID_PARAMETER);
  check_code("Backup over a file of the repository", object->Backup(at(L"repository\\objects.data").c_str(), 0),
             WBEM_E_INVALID_PARAMETER);
  check_code("Backup without a parent", object->Backup(at(L"no\\such\\x.cimbak").c_str(), 0),
             HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND));
  check_that("the text has the path", has(error_text(), L"such"));
  std::wstring endless(40000, L'x');
  check_code("Backup to a path longer than Windows has", object->Backup(endless.c_str(), 0), WBEM_E_INVALID_PARAMETER);
}

// What a shim answers for a file of a long name. Built without the feature `windows` the library has the system resolve
// the name, to compare it with others; the system may refuse, as Wine does.
static HRESULT resolved(const std::wstring &path) {
  std::vector<wchar_t> text(32768);
  HANDLE file = CreateFileW(path.c_str(), 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING, 0, nullptr);
  DWORD length = GetFinalPathNameByHandleW(file, text.data(), static_cast<DWORD>(text.size()), 0);
  HRESULT code = length ? S_OK : HRESULT_FROM_WIN32(GetLastError());
  CloseHandle(file);
  return code;
}

static void odd_names(IWbemBackupRestoreEx *object) {
  std::wstring unicode = at(L"\x441\x43d\x438\x43c\x43e\x43a-\x65e5\x672c-\xd83d\xdcbe.cimbak");
  check_code("Backup to a Unicode path", object->Backup(unicode.c_str(), 0), S_OK);
  check_that("it is there", is_there(unicode));
  check_code("Restore from it", object->Restore(unicode.c_str(), 0), S_OK);

  // Half of a surrogate pair: a name on Windows. Where the system refuses it to the client, it refuses it to the object.
  std::wstring half = at(L"half-\xd83d.cimbak");
  HANDLE probe = CreateFileW(half.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, nullptr);
  if (probe != INVALID_HANDLE_VALUE) {
    CloseHandle(probe);
    check_code("Backup to half of a surrogate pair", object->Backup(half.c_str(), 0), S_OK);
    check_that("it has that name", is_there(half));
  } else {
    HRESULT refusal = HRESULT_FROM_WIN32(GetLastError());
    check_code("Backup to half of a surrogate pair is refused as the system does", object->Backup(half.c_str(), 0), refusal);
    check_that("nothing has a name like it", !is_there(at(L"half-\xfffd.cimbak")));
  }

  std::wstring deep = L"\\\\?\\" + place;
  for (int level = 0; level < 4; ++level) {
    deep += L"\\" + std::wstring(90, L'd');
    CreateDirectoryW(deep.c_str(), nullptr);
  }
  std::wstring plain = deep.substr(4) + L"\\long.cimbak";
  check_code("Backup to a path of more than 260 characters", object->Backup(plain.c_str(), 0), S_OK);
  check_that("it is there", is_there(deep + L"\\long.cimbak"));
  check_code("Restore from it", object->Restore(plain.c_str(), 0), S_OK);
  HRESULT again = IsEqualCLSID(class_id, CLSID_Cimrepo) ? S_OK : resolved(deep + L"\\long.cimbak");
  check_code("Backup to the same, with its prefix", object->Backup((deep + L"\\long.cimbak").c_str(), 0), again);
}

void backing_up(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  CreateDirectoryW(at(L"backups").c_str(), nullptr);
  std::wstring file = at(L"backups\\first.cimbak");
  check_code("Backup", object->Backup(file.c_str(), WBEM_FLAG_BACKUP_RESTORE_DEFAULT), S_OK);
  std::vector<char> first = content(file);
  check_that("it has content", first.size() > 1000);
  Com<IWbemBackupRestore> base;
  object->QueryInterface(IID_IWbemBackupRestore, base.raw());
  if (base) check_code("Backup over it, through the base", base->Backup(file.c_str(), 0), S_OK);
  check_that("it is another", content(file) != first);
  check_that("nothing else is left there", entries(at(L"backups")) == 1);
  check_code("Backup into the repository's directory", object->Backup(at(L"repository\\back.x").c_str(), 0), S_OK);
  check_code("Restore from there", object->Restore(at(L"repository\\back.x").c_str(), 1), S_OK);
  check_that("it is still there", is_there(at(L"repository\\back.x")));
  HANDLE reader = CreateFileW(file.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  check_that("Backup over a file that someone reads and does not share fails", FAILED(object->Backup(file.c_str(), 0)));
  CloseHandle(reader);
  check_that("the older one is whole", content(file).size() > 1000);
  check_that("nothing else is left there", entries(at(L"backups")) == 1);
  refused_backups(object.get());
  odd_names(object.get());
}

static void refused_restores(IWbemBackupRestoreEx *object, const std::wstring &file) {
  std::vector<char> index = content(at(L"repository\\INDEX.BTR")), backup = content(file);
  for (LONG flags : {2, 3, -1})
    check_code("Restore with a flag that is none", object->Restore(file.c_str(), flags), WBEM_E_INVALID_PARAMETER);
  check_code("Restore from NULL", object->Restore(nullptr, 0), WBEM_E_INVALID_PARAMETER);
  check_code("Restore from an empty path", object->Restore(L"", 0), WBEM_E_INVALID_PARAMETER);
  check_code("Restore from a missing file", object->Restore(at(L"none.cimbak").c_str(), 1),
             HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
  check_code("Restore from no backup", object->Restore(at(L"repository\\INDEX.BTR").c_str(), 1), WBEM_E_INVALID_PARAMETER);
  std::wstring broken = at(L"broken.cimbak");
  put(broken, std::vector<char>(backup.begin(), backup.begin() + backup.size() / 2));
  check_code("Restore from half a backup", object->Restore(broken.c_str(), 1), WBEM_E_CRITICAL_ERROR);
  check_that("the text says so", has(error_text(), L"truncated"));
  std::vector<char> changed = backup;
  changed[changed.size() / 2] ^= 1;
  put(broken, changed);
  check_code("Restore from a changed backup", object->Restore(broken.c_str(), 1), WBEM_E_CRITICAL_ERROR);
  changed = backup;
  changed[8] = 99;
  put(broken, changed);
  check_that("Restore from a changed head fails", FAILED(object->Restore(broken.c_str(), 1)));
  check_that("the repository is as it was", content(at(L"repository\\INDEX.BTR")) == index && !index.empty());
}

void restoring(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  std::wstring file = at(L"good.cimbak");
  check_code("Backup", object->Backup(file.c_str(), 0), S_OK);
  refused_restores(object.get(), file);
  check_code("Restore, nobody connected", object->Restore(file.c_str(), WBEM_FLAG_BACKUP_RESTORE_DEFAULT), S_OK);
  check_code("Restore by force", object->Restore(file.c_str(), WBEM_FLAG_BACKUP_RESTORE_FORCE_SHUTDOWN), S_OK);
  check_code("Backup afterwards, by the same object", object->Backup(at(L"after.cimbak").c_str(), 0), S_OK);
  object.release();

  // A damaged repository is set aside, and a whole one has its name.
  std::wstring index = at(L"repository\\INDEX.BTR");
  put(index, std::vector<char>(content(index).size(), 'x'));
  BackupRestore second;
  create(factory, second);
  check_that("Backup of a damaged repository fails", FAILED(second->Backup(at(L"damaged.cimbak").c_str(), 0)));
  check_that("and makes no file", !is_there(at(L"damaged.cimbak")));
  check_code("Restore over it", second->Restore(file.c_str(), 0), S_OK);
  check_that("the damaged one was set aside", is_there(at(L"repository.001")));
  check_code("Backup of what was restored", second->Backup(at(L"restored.cimbak").c_str(), 0), S_OK);
}
