// What needs a program that has the repository open: clients that are connected, a lease that runs out, a panic.

#include "client.h"

namespace {
typedef HRESULT(WINAPI *Open)(LPCWSTR, DWORD, REFIID, void **);
typedef void *(WINAPI *Connect)();
typedef int(WINAPI *CanRead)(void *);
typedef void(WINAPI *Disconnect)(void *);
typedef void(WINAPI *Close)();

template <typename T> T find(HMODULE host, const char *name) {
  return reinterpret_cast<T>(reinterpret_cast<void *>(GetProcAddress(host, name)));
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

    check_code("Pause", object->Pause(), S_OK);
    client = connect();
    check_that("reading goes on while paused", can_read(client));
    disconnect(client);
    BackupRestore other;
    create(factory.get(), other);
    check_code("Pause by another object", other->Pause(), WBEM_E_INVALID_OPERATION);
    Sleep(lease + 500);
    check_code("the lease has run out: Resume tells it", object->Resume(), WBEM_E_INVALID_OPERATION);
    check_code("and another may pause", other->Pause(), S_OK);
    check_code("Resume", other->Resume(), S_OK);
  }
  close();
}
