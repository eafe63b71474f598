// What the parts of the C++ client share.
#pragma once

#include <windows.h>

#include <objbase.h>
#include <oleauto.h>
#include <wbemcli.h>

#include <string>
#include <vector>

#include "check.h"
#include "class.h"

// A counted pointer to an interface.
template <typename T> class Com {
public:
  Com() = default;
  Com(const Com &) = delete;
  Com &operator=(const Com &) = delete;
  ~Com() { release(); }
  ULONG release() {
    T *old = pointer;
    pointer = nullptr;
    return old ? old->Release() : 0;
  }
  T **out() { return &pointer; }
  void **raw() { return reinterpret_cast<void **>(&pointer); }
  T *operator->() const { return pointer; }
  T *get() const { return pointer; }
  explicit operator bool() const { return pointer != nullptr; }

private:
  T *pointer = nullptr;
};

using BackupRestore = Com<IWbemBackupRestoreEx>;

// The DLL under test.
struct Module {
  typedef HRESULT(WINAPI *GetClassObject)(REFCLSID, REFIID, void **);
  typedef HRESULT(WINAPI *Plain)();
  typedef HRESULT(WINAPI *Install)(BOOL, LPCWSTR);
  HMODULE handle;
  GetClassObject get_class_object;
  Plain can_unload_now, register_server, unregister_server;
  Install install;
};

extern Module module;
// Its class: this project's, or that of a shim that others wrote.
extern CLSID class_id;
// The directory that the client works in, with the repository in it.
extern std::wstring place;

inline std::wstring at(const wchar_t *name) { return place + L"\\" + name; }
inline bool is_there(const std::wstring &path) { return GetFileAttributesW(path.c_str()) != INVALID_FILE_ATTRIBUTES; }

void create(IClassFactory *factory, BackupRestore &object);
// What the last failed call on this thread left; it is taken away by asking.
struct Told {
  std::wstring text;
  DWORD number = 0;
};
Told told();
std::wstring error_text();
// A call on this thread that failed with a code, for the reason that has the number.
void check_reason(const char *what, HRESULT got, HRESULT want, DWORD number);
std::vector<char> content(const std::wstring &path);
void put(const std::wstring &path, const std::vector<char> &bytes);
// Holds a lock file as another process would, until the handle is closed.
HANDLE hold_lock(const std::wstring &path);
bool has(const std::wstring &text, const wchar_t *part);
// Enables or disables a privilege in a token; false when the token does not hold it.
bool set_privilege(HANDLE token, const wchar_t *name, bool enabled);
// Enables both privileges for this process.
void become_operator(bool enabled);
// Runs something on a new thread in the multithreaded apartment.
HRESULT on_thread(HRESULT (*work)(void *), void *argument);

// Parts, in the order of main.
void unloading(const wchar_t *path);
void exports();
void identity(IClassFactory *factory);
void configuration(IClassFactory *factory);
void privileges(IClassFactory *factory);
void backing_up(IClassFactory *factory);
void restoring(IClassFactory *factory);
void threads(IClassFactory *factory);
void registered();
void process_local();
void pausing(IClassFactory *factory);
void names(IClassFactory *factory);
void moments(IClassFactory *factory);
void locked(IClassFactory *factory);
void settings(IClassFactory *factory);
void context(IClassFactory *factory);
void hosted(const wchar_t *host);
// Another program: calls from another process.
int surrogate();
