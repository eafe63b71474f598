// Calls that come through COM's channel, with a context that the client makes itself: who is impersonated, who cancels.

#include "client.h"

#include <functional>

namespace {
// The context of a call, as COM gives one to the thread that serves it.
class Context : public IServerSecurity, public ICancelMethodCalls {
public:
  HANDLE token = nullptr;
  bool reverts = true;
  int asked = 0;
  std::function<HRESULT(int)> answer = [](int) { return RPC_S_CALLPENDING; };

  HRESULT STDMETHODCALLTYPE QueryInterface(REFIID iid, void **out) override {
    if (IsEqualIID(iid, __uuidof(ICancelMethodCalls))) *out = static_cast<ICancelMethodCalls *>(this);
    else if (IsEqualIID(iid, __uuidof(IServerSecurity)) || IsEqualIID(iid, IID_IUnknown)) *out = static_cast<IServerSecurity *>(this);
    else return *out = nullptr, E_NOINTERFACE;
    return S_OK;
  }
  ULONG STDMETHODCALLTYPE AddRef() override { return 2; }
  ULONG STDMETHODCALLTYPE Release() override { return 1; }
  HRESULT STDMETHODCALLTYPE QueryBlanket(DWORD *, DWORD *, OLECHAR **, DWORD *, DWORD *, void **, DWORD *) override { return E_NOTIMPL; }
  HRESULT STDMETHODCALLTYPE ImpersonateClient() override { return SetThreadToken(nullptr, token) ? S_OK : E_FAIL; }
  HRESULT STDMETHODCALLTYPE RevertToSelf() override { return reverts && SetThreadToken(nullptr, nullptr) ? S_OK : E_FAIL; }
  BOOL STDMETHODCALLTYPE IsImpersonating() override { return FALSE; }
  HRESULT STDMETHODCALLTYPE Cancel(ULONG) override { return E_NOTIMPL; }
  HRESULT STDMETHODCALLTYPE TestCancel() override { return answer(++asked); }
};

// This thread serves a call of a client, with the privileges or without.
class Serving {
public:
  Context context;
  explicit Serving(bool privileged) {
    HANDLE own = nullptr;
    OpenProcessToken(GetCurrentProcess(), TOKEN_DUPLICATE, &own);
    DuplicateTokenEx(own, TOKEN_IMPERSONATE | TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, nullptr, SecurityImpersonation,
                     TokenImpersonation, &context.token);
    CloseHandle(own);
    set_privilege(context.token, SE_BACKUP_NAME, privileged), set_privilege(context.token, SE_RESTORE_NAME, privileged);
    check_code("CoSwitchCallContext", CoSwitchCallContext(static_cast<IServerSecurity *>(&context), &before), S_OK);
  }
  ~Serving() {
    IUnknown *gone = nullptr;
    CoSwitchCallContext(before, &gone);
    CloseHandle(context.token);
  }
  Serving(const Serving &) = delete;
  Serving &operator=(const Serving &) = delete;

private:
  IUnknown *before = nullptr;
};

// How often files of a kind were opened by the DLL, as the client and as the process.
struct Opened {
  LONG as_client, as_process;
};
Opened named, served;
decltype(&CreateFileW) open_file;

bool is_impersonating() {
  HANDLE worn = nullptr;
  bool is = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &worn) != 0;
  if (worn) CloseHandle(worn);
  return is;
}

HANDLE WINAPI watched(LPCWSTR path, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security, DWORD how, DWORD flags, HANDLE like) {
  Opened *of = wcsstr(path, L"\\acted\\") ? &named : wcsstr(path, L"\\repository") ? &served : nullptr;
  if (of) InterlockedIncrement(is_impersonating() ? &of->as_client : &of->as_process);
  return open_file(path, access, share, security, how, flags, like);
}

// Has the DLL open its files by `watched`.
bool watch(HMODULE dll) {
  auto base = reinterpret_cast<BYTE *>(dll);
  auto header = reinterpret_cast<IMAGE_NT_HEADERS *>(base + reinterpret_cast<IMAGE_DOS_HEADER *>(base)->e_lfanew);
  DWORD at = header->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress;
  for (auto import = reinterpret_cast<IMAGE_IMPORT_DESCRIPTOR *>(base + at); import->Name; ++import) {
    if (!import->OriginalFirstThunk) continue;
    auto name = reinterpret_cast<IMAGE_THUNK_DATA *>(base + import->OriginalFirstThunk);
    auto slot = reinterpret_cast<IMAGE_THUNK_DATA *>(base + import->FirstThunk);
    for (; name->u1.AddressOfData; ++name, ++slot) {
      if (IMAGE_SNAP_BY_ORDINAL(name->u1.Ordinal)) continue;
      auto entry = reinterpret_cast<IMAGE_IMPORT_BY_NAME *>(base + name->u1.AddressOfData);
      if (strcmp(reinterpret_cast<const char *>(entry->Name), "CreateFileW") != 0) continue;
      DWORD old = 0;
      if (!VirtualProtect(slot, sizeof *slot, PAGE_READWRITE, &old)) return false;
      open_file = reinterpret_cast<decltype(open_file)>(slot->u1.Function);
      slot->u1.Function = reinterpret_cast<ULONG_PTR>(watched);
      VirtualProtect(slot, sizeof *slot, old, &old);
      return true;
    }
  }
  return false;
}

void reverting(IWbemBackupRestoreEx *object) {
  std::wstring file = at(L"reverted.cimbak");
  Serving serving(true);
  serving.context.reverts = false;
  check_code("a thread that stays who it impersonated does not go on", object->Backup(file.c_str(), 0), WBEM_E_ACCESS_DENIED);
  SetThreadToken(nullptr, nullptr);
  check_that("no file was made", !is_there(file));
  serving.context.reverts = true;
  check_code("and goes on when it reverts", object->Backup(file.c_str(), 0), S_OK);
}

void asking_whom(IWbemBackupRestoreEx *object) {
  std::wstring file = at(L"client.cimbak");
  {
    Serving serving(false);
    check_code("a client of COM without the privileges", object->Backup(file.c_str(), 0), WBEM_E_ACCESS_DENIED);
    check_that("the thread is itself again", !is_impersonating());
  }
  become_operator(false);
  {
    Serving serving(true);
    check_code("one with them, in a process without", object->Backup(file.c_str(), 0), S_OK);
  }
  become_operator(true);
}

void opened_as_whom(IWbemBackupRestoreEx *object) {
  CreateDirectoryW(at(L"acted").c_str(), nullptr);
  std::wstring file = at(L"acted\\it.cimbak");
  check_that("the client sees what the DLL opens", watch(module.handle));
  check_code("Backup by the process", object->Backup(file.c_str(), 0), S_OK);
  check_that("opens all as the process", named.as_process > 0 && served.as_process > 0 && named.as_client + served.as_client == 0);
  Serving serving(true);
  named = served = Opened{};
  check_code("Backup for a client", object->Backup(file.c_str(), 0), S_OK);
  check_that("opens the target as the client", named.as_client > 0 && named.as_process == 0);
  check_that("and the repository as the process", served.as_process > 0 && served.as_client == 0);
  named = served = Opened{};
  check_code("Restore for a client", object->Restore(file.c_str(), 0), S_OK);
  check_that("opens the source as the client", named.as_client > 0 && named.as_process == 0);
  check_that("and the repository as the process", served.as_process > 0 && served.as_client == 0);
  check_that("the thread is itself again", !is_impersonating());
}

void cancelled(IWbemBackupRestoreEx *object) {
  const HRESULT is_cancelled = static_cast<HRESULT>(0x80041032);
  std::wstring file = at(L"cancelled.cimbak"), good = at(L"client.cimbak");
  std::vector<char> index = content(at(L"repository\\INDEX.BTR"));
  Serving serving(true);
  Context &context = serving.context;
  check_code("Backup that nobody cancels", object->Backup(good.c_str(), 0), S_OK);
  int last = context.asked;
  check_that("it asks more than at its beginning", last > 3);
  for (int at : {1, last}) {
    context.asked = 0;
    context.answer = [at](int asked) { return asked >= at ? RPC_E_CALL_CANCELED : RPC_S_CALLPENDING; };
    check_code("Backup that its client cancels", object->Backup(file.c_str(), 0), is_cancelled);
    check_that("leaves no file", !is_there(file));
    context.asked = 0;
    check_code("Restore that its client cancels", object->Restore(good.c_str(), 1), is_cancelled);
    check_that("leaves the repository as it was", content(::at(L"repository\\INDEX.BTR")) == index);
  }
}

void during_a_restore(IClassFactory *factory) {
  BackupRestore object, other;
  create(factory, object);
  create(factory, other);
  if (!object || !other) return;
  Serving serving(true);
  HRESULT paused = S_OK, restored = S_OK, backed_up = S_OK;
  DWORD number = 0;
  serving.context.answer = [&](int asked) {
    if (asked != 1) return RPC_S_CALLPENDING;
    paused = other->Pause();
    number = told().number;
    restored = other->Restore(at(L"client.cimbak").c_str(), 1);
    backed_up = other->Backup(at(L"meanwhile.cimbak").c_str(), 0);
    return RPC_S_CALLPENDING;
  };
  check_code("Restore", object->Restore(at(L"client.cimbak").c_str(), 0), S_OK);
  check_code("Pause by another object during it", paused, WBEM_E_INVALID_OPERATION);
  check_that("it is told that a restore is in progress", number == 104);
  check_code("Restore by another object during it", restored, WBEM_E_INVALID_OPERATION);
  check_code("Backup by another object during it", backed_up, WBEM_E_INVALID_OPERATION);
}
} // namespace

void context(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  reverting(object.get());
  asking_whom(object.get());
  // The rest a shim need not do.
  if (!IsEqualCLSID(class_id, CLSID_Cimrepo)) return;
  cancelled(object.get());
  during_a_restore(factory);
  opened_as_whom(object.get());
}
