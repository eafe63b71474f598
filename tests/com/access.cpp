// Which repository is served, and to whom.

#include "client.h"

static LSTATUS set_value(const wchar_t *text) {
  return RegSetKeyValueW(HKEY_LOCAL_MACHINE, CIMREPO_KEY, CIMREPO_VALUE, REG_SZ, text,
                         static_cast<DWORD>((wcslen(text) + 1) * sizeof(wchar_t)));
}

void configuration(IClassFactory *factory) {
  become_operator(true);
  std::wstring repository = at(L"repository"), to = at(L"configured.cimbak"), wrong = at(L"nothing here");
  BackupRestore object;
  SetEnvironmentVariableW(CIMREPO_VARIABLE, nullptr);
  create(factory, object);
  if (!object) return;
  check_code("no repository is configured", object->Backup(to.c_str(), 0), WBEM_E_INITIALIZATION_FAILURE);
  check_that("the text says what to do", has(error_text(), CIMREPO_VARIABLE));
  check_that("no file was made", !is_there(to));
  SetEnvironmentVariableW(CIMREPO_VARIABLE, L"repository");
  check_code("a relative path is refused", object->Backup(to.c_str(), 0), WBEM_E_INITIALIZATION_FAILURE);
  check_that("and the text says so", has(error_text(), L"absolute"));

  SetEnvironmentVariableW(CIMREPO_VARIABLE, nullptr);
  check_that("the value of the registry is set", set_value(repository.c_str()) == ERROR_SUCCESS);
  check_code("the same object finds it with its next call", object->Backup(to.c_str(), 0), S_OK);
  check_that("the backup is there", is_there(to));
  check_that("success leaves no error info", error_text().empty());

  SetEnvironmentVariableW(CIMREPO_VARIABLE, wrong.c_str());
  BackupRestore second;
  create(factory, second);
  check_code("the registry goes before the variable", second->Backup(to.c_str(), 0), S_OK);
  RegDeleteTreeW(HKEY_LOCAL_MACHINE, CIMREPO_KEY);
  SetEnvironmentVariableW(CIMREPO_VARIABLE, repository.c_str());
}

static std::wstring backup_path;

static HRESULT back_up(void *object) {
  return static_cast<IWbemBackupRestoreEx *>(object)->Backup(backup_path.c_str(), 0);
}

// A thread that wears a token without the privileges, in a process that has them.
static HRESULT back_up_as_another(void *object) {
  HANDLE own = nullptr, copy = nullptr;
  OpenProcessToken(GetCurrentProcess(), TOKEN_DUPLICATE, &own);
  BOOL copied = DuplicateTokenEx(own, TOKEN_IMPERSONATE | TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, nullptr,
                                 SecurityImpersonation, TokenImpersonation, &copy);
  CloseHandle(own);
  if (!copied) return E_FAIL;
  bool disabled = set_privilege(copy, SE_BACKUP_NAME, false) && set_privilege(copy, SE_RESTORE_NAME, false);
  HRESULT code = disabled && SetThreadToken(nullptr, copy) ? back_up(object) : E_FAIL;
  HANDLE worn = nullptr;
  bool still = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &worn) != 0;
  if (worn) CloseHandle(worn);
  SetThreadToken(nullptr, nullptr);
  CloseHandle(copy);
  return still ? code : E_FAIL;
}

void privileges(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  backup_path = at(L"privileged.cimbak");
  HANDLE token = nullptr;
  OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token);
  become_operator(false);
  check_code("Backup with both privileges held but disabled", back_up(object.get()), WBEM_E_ACCESS_DENIED);
  check_that("the text names the privilege", has(error_text(), L"rivilege"));
  check_that("no file was made", !is_there(backup_path));
  check_code("Restore likewise", object->Restore(at(L"configured.cimbak").c_str(), 1), WBEM_E_ACCESS_DENIED);
  check_code("Pause likewise", object->Pause(), WBEM_E_ACCESS_DENIED);
  check_code("Resume likewise", object->Resume(), WBEM_E_ACCESS_DENIED);

  set_privilege(token, SE_BACKUP_NAME, true);
  check_code("Backup with SeBackupPrivilege", back_up(object.get()), S_OK);
  check_code("Restore wants the other", object->Restore(at(L"configured.cimbak").c_str(), 1), WBEM_E_ACCESS_DENIED);
  set_privilege(token, SE_BACKUP_NAME, false);
  set_privilege(token, SE_RESTORE_NAME, true);
  check_code("Backup with SeRestorePrivilege", back_up(object.get()), S_OK);
  check_code("Pause wants the other", object->Pause(), WBEM_E_ACCESS_DENIED);
  CloseHandle(token);
  become_operator(true);
  check_code("a thread is who it impersonates", on_thread(back_up_as_another, object.get()), WBEM_E_ACCESS_DENIED);
  check_code("another thread is the process", on_thread(back_up, object.get()), S_OK);
}
