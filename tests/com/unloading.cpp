// The DLL survives being unloaded, whatever its objects are doing. Runs first: what comes later in this process holds the DLL.

#include "client.h"

namespace {
enum class State { paused, resumed, released };
const struct {
  State state;
  const char *name;
} states[] = {{State::released, "after release"}, {State::resumed, "after Resume"}, {State::paused, "while paused"}};
const int rounds = 100;

// Registers the DLL, or takes that back, and lets it go again.
bool registers(const wchar_t *path, const char *function) {
  HMODULE dll = LoadLibraryW(path);
  auto change = reinterpret_cast<Module::Plain>(reinterpret_cast<void *>(GetProcAddress(dll, function)));
  bool changed = change && change() == S_OK;
  FreeLibrary(dll);
  return changed;
}

bool reaches(BackupRestore &object, State state) {
  if (object->Pause() != S_OK) return false;
  if (state == State::paused) return true;
  if (object->Resume() != S_OK) return false;
  if (state == State::released) object.release();
  return true;
}

// COM loads the DLL and, with the last apartment, unloads it without asking.
bool by_com(State state) {
  if (FAILED(CoInitializeEx(nullptr, COINIT_MULTITHREADED))) return false;
  BackupRestore object;
  bool done = CoCreateInstance(class_id, nullptr, CLSCTX_INPROC_SERVER, IID_IWbemBackupRestoreEx, object.raw()) == S_OK &&
              reaches(object, state);
  CoUninitialize();
  return done; // the object, where it is left, is released now
}

// A program loads the DLL and lets it go as COM's rules say, or, while paused, although they say no.
bool by_hand(const wchar_t *path, State state) {
  HMODULE dll = LoadLibraryW(path);
  auto get = reinterpret_cast<Module::GetClassObject>(reinterpret_cast<void *>(GetProcAddress(dll, "DllGetClassObject")));
  auto may_go = reinterpret_cast<Module::Plain>(reinterpret_cast<void *>(GetProcAddress(dll, "DllCanUnloadNow")));
  BackupRestore object;
  {
    Com<IClassFactory> factory;
    if (get(class_id, IID_IClassFactory, factory.raw()) != S_OK) return false;
    if (factory->CreateInstance(nullptr, IID_IWbemBackupRestoreEx, object.raw()) != S_OK) return false;
  }
  if (!reaches(object, state)) return false;
  bool says = may_go() == (object ? S_FALSE : S_OK);
  if (state == State::resumed) says = object.release() == 0 && may_go() == S_OK && says;
  FreeLibrary(dll);
  return says;
}

template <typename Round> void many(const char *what, const char *state, Round round) {
  printf("     %s, %s:\n", what, state);
  fflush(stdout);
  int done = 0;
  while (done < rounds && round()) ++done;
  std::string text = std::string(what) + " in a loop, " + state;
  check_that(text.c_str(), done == rounds);
}
} // namespace

void unloading(const wchar_t *path) {
  become_operator(true);
  SetEnvironmentVariableW(CIMREPO_VARIABLE, at(L"repository").c_str());
  check_that("the DLL registers itself", registers(path, "DllRegisterServer"));
  // In this order: Wine's COM never lets go of a DLL that had an object left, and Windows' does.
  for (auto state : states) many("FreeLibrary", state.name, [&] { return by_hand(path, state.state); });
  for (auto state : states) many("CoUninitialize", state.name, [&] { return by_com(state.state); });
  check_that("the DLL takes its registration back", registers(path, "DllUnregisterServer"));
  SetEnvironmentVariableW(CIMREPO_VARIABLE, nullptr);
}
