/* The same from C, by the class alone: through a manifest beside the program, or the registry.
 *
 *   cclient.exe PLACE
 */
#define COBJMACROS
#include <windows.h>

#include <initguid.h>
#include <objbase.h>
#include <wbemcli.h>

#include "check.h"
#include "class.h"

int wmain(int count, wchar_t **arguments) {
  IWbemBackupRestoreEx *object = NULL;
  IWbemBackupRestore *base = NULL;
  wchar_t file[1024];
  HRESULT code;
  if (count < 2) return 2;
  swprintf(file, 1024, L"%ls\\c.cimbak", arguments[1]);
  check_code("CoInitializeEx", CoInitializeEx(NULL, COINIT_MULTITHREADED), S_OK);
  code = CoCreateInstance(&CLSID_Cimrepo, NULL, CLSCTX_INPROC_SERVER, &IID_IWbemBackupRestoreEx, (void **)&object);
  check_code("CoCreateInstance", code, S_OK);
  if (FAILED(code)) return check_sums();
  check_code("Backup, not privileged", IWbemBackupRestoreEx_Backup(object, file, 0), WBEM_E_ACCESS_DENIED);
  {
    HANDLE token = NULL;
    const wchar_t *names[2] = {SE_BACKUP_NAME, SE_RESTORE_NAME};
    int at;
    OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES, &token);
    for (at = 0; at < 2; ++at) {
      TOKEN_PRIVILEGES change;
      change.PrivilegeCount = 1;
      change.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;
      LookupPrivilegeValueW(NULL, names[at], &change.Privileges[0].Luid);
      AdjustTokenPrivileges(token, FALSE, &change, 0, NULL, NULL);
    }
    CloseHandle(token);
  }
  check_code("Backup", IWbemBackupRestoreEx_Backup(object, file, 0), S_OK);
  check_code("Restore", IWbemBackupRestoreEx_Restore(object, file, 0), S_OK);
  check_code("QueryInterface", IWbemBackupRestoreEx_QueryInterface(object, &IID_IWbemBackupRestore, (void **)&base), S_OK);
  check_code("Backup through the base", IWbemBackupRestore_Backup(base, file, 1), WBEM_E_INVALID_PARAMETER);
  IWbemBackupRestore_Release(base);
  check_code("Pause", IWbemBackupRestoreEx_Pause(object), S_OK);
  check_code("Pause again", IWbemBackupRestoreEx_Pause(object), WBEM_E_INVALID_OPERATION);
  check_code("Restore while paused", IWbemBackupRestoreEx_Restore(object, file, 1), WBEM_E_INVALID_OPERATION);
  check_code("Resume", IWbemBackupRestoreEx_Resume(object), S_OK);
  check_code("Resume again", IWbemBackupRestoreEx_Resume(object), WBEM_E_INVALID_OPERATION);
  check_that("the last release gives 0", IWbemBackupRestoreEx_Release(object) == 0);
  CoUninitialize();
  return check_sums();
}
