// What needs a program that has the repository open: clients that are connected, a lease that runs out, a panic.

#include "client.h"

namespace {
typedef HRESULT(WINAPI *Open)(LPCWSTR, DWORD, REFIID, void **);
typedef void *(WINAPI *Connect)();
typedef int(WINAPI *CanRead)(void *);
typedef void(WINAPI *Disconnect)(void *);
typedef int(WINAPI *CanWrite)(void *);
typedef int(WINAPI *Close)();
typedef HRESULT(WINAPI *Policies)(DWORD, REFIID, void **);

template <typename T> T find(HMODULE host, const char *name) {
  return reinterpret_cast<T>(reinterpret_cast<void *>(GetProcAddress(host, name)));
}

// What the program chose for objects of a factory of its own.
void chosen(Policies policies, Connect connect, CanRead can_read, Disconnect disconnect) {
  Com<IClassFactory> factory;
  check_code("HostPolicies", policies(300, IID_IClassFactory, factory.raw()), S_OK);
  if (!factory) return;
  BackupRestore object;
  create(factory.get(), object);
  std::wstring file = at(L"chosen.cimbak");
  HANDLE token = nullptr;
  OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token);
  set_privilege(token, SE_RESTORE_NAME, false);
  check_code("Backup without the privilege of the policy", object->Backup(file.c_str(), 0), WBEM_E_ACCESS_DENIED);
  set_privilege(token, SE_RESTORE_NAME, true);
  CloseHandle(token);
  check_code("Backup with it", object->Backup(file.c_str(), 0), S_OK);
  void *client = connect();
  check_code("Restore with flag 0, which breaks connections", object->Restore(file.c_str(), 0), S_OK);
  check_that("the client was cut", !can_read(client));
  disconnect(client);
  check_code("Pause", object->Pause(), S_OK);
  Sleep(900);
  check_reason("the lease of the object has run out", object->Resume(), WBEM_E_INVALID_OPERATION, 103);
}
} // namespace

void hosted(const wchar_t *path) {
  const DWORD lease = 1500;
  HMODULE host = LoadLibraryW(path);
  check_that("the host loads", host != nullptr);
  if (!host) return;
  Open open = find<Open>(host, "HostOpen");
  Connect connect = find<Connect>(host, "HostConnect");
  CanRead can_read = find<CanRead>(host, "HostCanRead");
  CanWrite can_write = find<CanWrite>(host, "HostCanWrite");
  Disconnect disconnect = find<Disconnect>(host, "HostDisconnect");
  Close close = find<Close>(host, "HostClose");
  {
    Com<IClassFactory> factory;
    check_code("HostOpen", open(at(L"repository").c_str(), lease, IID_IClassFactory, factory.raw()), S_OK);
    if (!factory) return;
    BackupRestore object;
    create(factory.get(), object);
    std::wstring file = at(L"hosted.cimbak");
    check_code("Backup", object->Backup(file.c_str(), 0), S_OK);
    check_code("a panic stays inside", object->Backup(at(L"panic").c_str(), 0), E_UNEXPECTED);
    check_that("its reason is told", has(error_text(), L"told to"));
    check_code("the object goes on", object->Backup(file.c_str(), 0), S_OK);

    void *client = connect();
    check_that("a client is connected", can_read(client));
    check_code("Backup with a client connected", object->Backup(file.c_str(), 0), S_OK);
    check_code("Restore without force while a client is connected", object->Restore(file.c_str(), 0),
               WBEM_E_BACKUP_RESTORE_WINMGMT_RUNNING);
    check_that("the client goes on", can_read(client));
    check_code("Restore by force from no backup", object->Restore(at(L"repository\\INDEX.BTR").c_str(), 1),
               WBEM_E_INVALID_PARAMETER);
    check_that("the client still goes on", can_read(client));
    check_code("Restore by force", object->Restore(file.c_str(), 1), S_OK);
    check_that("the client was cut", !can_read(client));
    void *again = connect();
    check_that("a new connection works", can_read(again));
    disconnect(client), disconnect(again);
    check_code("Restore without force, nobody connected", object->Restore(file.c_str(), 0), S_OK);

    client = connect();
    check_that("a client writes", can_write(client) == 1);
    check_code("Pause", object->Pause(), S_OK);
    check_that("a client that writes would have to wait", can_write(client) == 0);
    check_that("reading goes on while paused", can_read(client));
    check_code("Restore by force while paused", object->Restore(file.c_str(), 1), WBEM_E_INVALID_OPERATION);
    check_that("which cuts no one", can_read(client));
    check_code("Resume", object->Resume(), S_OK);
    check_that("a client writes again", can_write(client) == 1);
    disconnect(client);

    moments(factory.get());
    chosen(find<Policies>(host, "HostPolicies"), connect, can_read, disconnect);
    BackupRestore other;
    create(factory.get(), other);
    check_code("Pause", object->Pause(), S_OK);
    check_code("Pause by another object", other->Pause(), WBEM_E_INVALID_OPERATION);
    Sleep(lease + 500);
    check_code("the lease has run out: Resume tells it", object->Resume(), WBEM_E_INVALID_OPERATION);
    check_that("and its text says what that means", has(error_text(), L"trusted"));
    check_code("and another may pause", other->Pause(), S_OK);
    check_code("Resume", other->Resume(), S_OK);

    become_operator(false);
    check_code("who is not privileged does not restore", object->Restore(file.c_str(), 1), WBEM_E_ACCESS_DENIED);
    check_code("nor pause", object->Pause(), WBEM_E_ACCESS_DENIED);
    become_operator(true);
    check_code("Pause", object->Pause(), S_OK);
    check_that("the program closes its repository", close());
    check_code("Pause of a repository that was closed", object->Pause(), static_cast<HRESULT>(0x80041033));
    check_code("Backup likewise", object->Backup(file.c_str(), 0), static_cast<HRESULT>(0x80041033));
    check_code("Resume likewise", object->Resume(), WBEM_E_INVALID_OPERATION);
  }
}
