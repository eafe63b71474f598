// Pause and Resume, and the calls of other objects meanwhile.

#include "client.h"

void pausing(IClassFactory *factory) {
  BackupRestore owner, other;
  create(factory, owner);
  create(factory, other);
  if (!owner || !other) return;
  std::wstring file = at(L"paused.cimbak");
  check_code("Resume without Pause", owner->Resume(), WBEM_E_INVALID_OPERATION);
  check_that("the text says so", !error_text().empty());
  check_code("Pause", owner->Pause(), S_OK);
  check_code("Pause again", owner->Pause(), WBEM_E_INVALID_OPERATION);
  check_code("Pause by another object", other->Pause(), WBEM_E_INVALID_OPERATION);
  check_that("it is told that it is paused, and not only locked", has(error_text(), L"has paused the writers"));
  check_code("Resume by another object", other->Resume(), WBEM_E_INVALID_OPERATION);
  check_code("Backup by the owner while paused", owner->Backup(file.c_str(), 0), S_OK);
  check_code("Backup by another while paused", other->Backup(file.c_str(), 0), S_OK);
  check_code("Restore by the owner while paused", owner->Restore(file.c_str(), 0), WBEM_E_INVALID_OPERATION);
  check_code("Restore by another while paused", other->Restore(file.c_str(), 1), WBEM_E_INVALID_OPERATION);
  check_that("it is told the same", has(error_text(), L"has paused the writers"));
  check_code("it is still paused", other->Pause(), WBEM_E_INVALID_OPERATION);
  HANDLE lock = CreateFileW(at(L"repository\\cimrepo.lock").c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                            nullptr, OPEN_EXISTING, 0, nullptr);
  check_that("the writer lock is held", lock == INVALID_HANDLE_VALUE && GetLastError() == ERROR_SHARING_VIOLATION);
  check_code("Resume", owner->Resume(), S_OK);
  check_code("Resume again", owner->Resume(), WBEM_E_INVALID_OPERATION);
  check_that("the text says what it means", has(error_text(), L"trusted"));
  check_that("the writer lock is given back", !is_there(at(L"repository\\cimrepo.lock")));
  check_code("Pause by another object, now", other->Pause(), S_OK);
  check_code("the first one waits for nobody", owner->Pause(), WBEM_E_INVALID_OPERATION);
  check_code("releasing who does not hold changes nothing", (owner.release(), other->Pause()), WBEM_E_INVALID_OPERATION);
  check_that("release while paused", other.release() == 0);

  BackupRestore third;
  create(factory, third);
  check_code("release has resumed", third->Pause(), S_OK);
  check_code("Resume", third->Resume(), S_OK);
  check_code("Restore, no longer paused", third->Restore(file.c_str(), 0), S_OK);
}
