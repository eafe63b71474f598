// What the administrator chose in the registry, next to the repository.

#include "client.h"

namespace {
void set_text(const wchar_t *name, const wchar_t *text) {
  DWORD bytes = static_cast<DWORD>((wcslen(text) + 1) * sizeof(wchar_t));
  if (RegSetKeyValueW(HKEY_LOCAL_MACHINE, CIMREPO_KEY, name, REG_SZ, text, bytes) != ERROR_SUCCESS)
    check_that("the client writes to the registry", 0);
}

void set_number(const wchar_t *name, DWORD number) {
  if (RegSetKeyValueW(HKEY_LOCAL_MACHINE, CIMREPO_KEY, name, REG_DWORD, &number, sizeof number) != ERROR_SUCCESS)
    check_that("the client writes to the registry", 0);
}

void forget() { RegDeleteTreeW(HKEY_LOCAL_MACHINE, CIMREPO_KEY); }

// A new object: what is chosen counts for objects that are used first afterwards.
HRESULT back_up(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  return object ? object->Backup(at(L"chosen.cimbak").c_str(), 0) : E_FAIL;
}

void hold_only(const wchar_t *privilege) {
  HANDLE token = nullptr;
  become_operator(false);
  OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token);
  set_privilege(token, privilege, true);
  CloseHandle(token);
}

void policies(IClassFactory *factory) {
  const HRESULT denied = WBEM_E_ACCESS_DENIED;
  const struct {
    const char *what;
    const wchar_t *policy;
    HRESULT by_backup, by_restore;
  } rows[] = {{"either", L"either", S_OK, S_OK}, {"strict", L"Strict", S_OK, denied}, {"literal", L"LITERAL", denied, S_OK}};
  for (auto &row : rows) {
    set_text(L"PrivilegePolicy", row.policy);
    hold_only(SE_BACKUP_NAME);
    check_code((std::string("Backup with SeBackupPrivilege, ") + row.what).c_str(), back_up(factory), row.by_backup);
    hold_only(SE_RESTORE_NAME);
    check_code((std::string("Backup with SeRestorePrivilege, ") + row.what).c_str(), back_up(factory), row.by_restore);
  }
  become_operator(true);
  forget();
}

void nonsense(IClassFactory *factory) {
  const HRESULT refusal = WBEM_E_INITIALIZATION_FAILURE;
  set_text(L"PrivilegePolicy", L"strictly");
  check_code("a policy that there is not", back_up(factory), refusal);
  check_that("it is named", has(error_text(), L"PrivilegePolicy"));
  forget();
  set_number(L"PrivilegePolicy", 1);
  check_code("a policy that is a number", back_up(factory), refusal);
  forget();
  set_text(L"FlagZero", L"perhaps");
  check_code("a meaning of flag 0 that there is not", back_up(factory), refusal);
  forget();
  set_number(L"LeaseSeconds", 0);
  check_code("a lease of no time", back_up(factory), refusal);
  check_that("it is named", has(error_text(), L"LeaseSeconds"));
  forget();
  check_code("and without them", back_up(factory), S_OK);
}

void times(IClassFactory *factory) {
  set_number(L"LeaseSeconds", 1);
  set_number(L"WaitSeconds", 2);
  set_text(L"FlagZero", L"break");
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  check_code("Pause for a second", object->Pause(), S_OK);
  Sleep(1700);
  check_reason("Resume after that", object->Resume(), WBEM_E_INVALID_OPERATION, 103);
  std::wstring file = at(L"waits.cimbak");
  HANDLE lock = hold_lock(file + CIMREPO_LOCK);
  ULONGLONG start = GetTickCount64();
  check_reason("Backup to a file that another process writes", object->Backup(file.c_str(), 0), WBEM_E_INVALID_OPERATION, 111);
  ULONGLONG waited = GetTickCount64() - start;
  check_that("it waited as long as it may", waited > 1500 && waited < 60000);
  CloseHandle(lock);
  check_code("Backup when that has gone", object->Backup(file.c_str(), 0), S_OK);
  check_code("Restore, which nobody hinders", object->Restore(file.c_str(), 0), S_OK);
  lock = hold_lock(at(L"repository\\cimrepo.lock"));
  start = GetTickCount64();
  check_reason("Pause of what another process writes", object->Pause(), WBEM_E_INVALID_OPERATION, 111);
  check_reason("Restore over it", object->Restore(file.c_str(), 0), WBEM_E_INVALID_OPERATION, 111);
  waited = GetTickCount64() - start;
  check_that("both waited as long as they may", waited > 3000 && waited < 60000);
  CloseHandle(lock);
  check_code("Pause when that has gone", object->Pause(), S_OK);
  check_code("Resume", object->Resume(), S_OK);
  forget();
}
} // namespace

void settings(IClassFactory *factory) {
  policies(factory);
  nonsense(factory);
  times(factory);
}
