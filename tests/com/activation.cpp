// What a process registers for itself.

#include "client.h"

// A program that insists on the class of the system gets ours, in its own process alone.
void process_local() {
  Com<IClassFactory> factory;
  DWORD cookie = 0;
  check_code("DllGetClassObject", module.get_class_object(class_id, IID_IClassFactory, factory.raw()), S_OK);
  check_code("CoRegisterClassObject as the system's class",
             CoRegisterClassObject(CLSID_WbemBackupRestore, factory.get(), CLSCTX_INPROC_SERVER, REGCLS_MULTIPLEUSE, &cookie),
             S_OK);
  {
    Com<IWbemBackupRestore> object;
    check_code("CoCreateInstance of the system's class",
               CoCreateInstance(CLSID_WbemBackupRestore, nullptr, CLSCTX_INPROC_SERVER, IID_IWbemBackupRestore, object.raw()),
               S_OK);
    if (object) check_code("Backup", object->Backup(at(L"local.cimbak").c_str(), 0), S_OK);
  }
  check_code("CoRevokeClassObject", CoRevokeClassObject(cookie), S_OK);
}
