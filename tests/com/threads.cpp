// Apartments and threads: one object, called from everywhere.

#include "client.h"

static HRESULT by_pointer(void *object) {
  return static_cast<IWbemBackupRestoreEx *>(object)->Backup(at(L"thread.cimbak").c_str(), 0);
}

static HRESULT by_stream(void *stream) {
  BackupRestore object;
  HRESULT code = CoGetInterfaceAndReleaseStream(static_cast<IStream *>(stream), IID_IWbemBackupRestoreEx, object.raw());
  return SUCCEEDED(code) ? object->Backup(at(L"marshaled.cimbak").c_str(), 0) : code;
}

struct Several {
  IWbemBackupRestoreEx *object;
  wchar_t digit;
};

static DWORD WINAPI one_of_several(void *argument) {
  Several *several = static_cast<Several *>(argument);
  std::wstring file = at(L"several-") + several->digit + L".cimbak";
  CoInitializeEx(nullptr, COINIT_MULTITHREADED);
  HRESULT code = several->object->Backup(file.c_str(), 0);
  CoUninitialize();
  return static_cast<DWORD>(code);
}

static HRESULT create_and_use(void *) {
  Com<IClassFactory> factory;
  BackupRestore object;
  HRESULT code = module.get_class_object(class_id, IID_IClassFactory, factory.raw());
  if (SUCCEEDED(code)) code = factory->CreateInstance(nullptr, IID_IWbemBackupRestoreEx, object.raw());
  if (SUCCEEDED(code)) code = object->Backup(nullptr, 0);
  return code == static_cast<HRESULT>(WBEM_E_INVALID_PARAMETER) && !error_text().empty() ? S_OK : E_FAIL;
}

void threads(IClassFactory *factory) {
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  check_code("called by pointer from another apartment", on_thread(by_pointer, object.get()), S_OK);
  IStream *stream = nullptr;
  check_code("CoMarshalInterThreadInterfaceInStream",
             CoMarshalInterThreadInterfaceInStream(IID_IWbemBackupRestoreEx, object.get(), &stream), S_OK);
  if (stream) check_code("called through a stream", on_thread(by_stream, stream), S_OK);

  HANDLE handles[4];
  Several several[4];
  for (int at = 0; at < 4; ++at) {
    several[at] = {object.get(), static_cast<wchar_t>(L'0' + at)};
    handles[at] = CreateThread(nullptr, 0, one_of_several, &several[at], 0, nullptr);
  }
  WaitForMultipleObjects(4, handles, TRUE, INFINITE);
  bool all = true;
  for (HANDLE handle : handles) {
    DWORD code = 1;
    all = GetExitCodeThread(handle, &code) && code == S_OK && all;
    CloseHandle(handle);
  }
  check_that("four backups by one object at the same time", all);
  check_that("the last release gives 0", object.release() == 0);

  GetErrorInfo(0, Com<IErrorInfo>().out());
  check_code("made, used and explained on another thread", on_thread(create_and_use, nullptr), S_OK);
  check_that("its error info is its own", error_text().empty());
}
