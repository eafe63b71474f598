// The rules of COM: class objects, identity, counts, what the object says of itself.

#include "client.h"

void exports() {
  void *out = &out;
  check_code("nothing is alive at the start", module.can_unload_now(), S_OK);
  check_code("the system's class is not ours", module.get_class_object(CLSID_WbemBackupRestore, IID_IClassFactory, &out),
             CLASS_E_CLASSNOTAVAILABLE);
  check_that("a refusal gives no pointer", out == nullptr);
  out = &out;
  check_code("a class object is no backup object", module.get_class_object(class_id, IID_IWbemBackupRestore, &out),
             E_NOINTERFACE);
  check_that("and gives no pointer", out == nullptr);
  check_code("nowhere to put it", module.get_class_object(class_id, IID_IClassFactory, nullptr), E_POINTER);
  check_code("nothing was left alive", module.can_unload_now(), S_OK);
}

static void factory_rules(IClassFactory *factory) {
  void *out = &out;
  check_code("aggregation is refused", factory->CreateInstance(factory, IID_IUnknown, &out), CLASS_E_NOAGGREGATION);
  check_that("and gives no pointer", out == nullptr);
  out = &out;
  check_code("an object has no IDispatch", factory->CreateInstance(nullptr, IID_IDispatch, &out), E_NOINTERFACE);
  check_that("and none is given", out == nullptr);
  check_code("nowhere to put an object", factory->CreateInstance(nullptr, IID_IUnknown, nullptr), E_POINTER);
  check_code("LockServer", factory->LockServer(TRUE), S_OK);
  check_code("LockServer back", factory->LockServer(FALSE), S_OK);
  check_code("LockServer back once too often", factory->LockServer(FALSE), E_UNEXPECTED);
}

static void lock_alone() {
  {
    Com<IClassFactory> factory;
    module.get_class_object(class_id, IID_IClassFactory, factory.raw());
    factory->LockServer(TRUE);
  }
  Com<IClassFactory> factory;
  module.get_class_object(class_id, IID_IClassFactory, factory.raw());
  check_code("a lock outlasts its factory", factory->LockServer(FALSE), S_OK);
}

void identity(IClassFactory *factory) {
  factory_rules(factory);
  lock_alone();
  BackupRestore object;
  create(factory, object);
  if (!object) return;
  Com<IWbemBackupRestore> base;
  Com<IWbemBackupRestoreEx> again;
  Com<IUnknown> unknown, other;
  Com<ISupportErrorInfo> support;
  Com<IMarshal> marshal;
  check_code("QueryInterface IWbemBackupRestore", object->QueryInterface(IID_IWbemBackupRestore, base.raw()), S_OK);
  check_code("QueryInterface back", base->QueryInterface(IID_IWbemBackupRestoreEx, again.raw()), S_OK);
  check_that("it is the same interface", again.get() == object.get());
  object->QueryInterface(IID_IUnknown, unknown.raw());
  check_code("QueryInterface IUnknown", base->QueryInterface(IID_IUnknown, other.raw()), S_OK);
  check_that("it is one object", unknown && unknown.get() == other.get());
  check_code("QueryInterface IMarshal", object->QueryInterface(IID_IMarshal, marshal.raw()), S_OK);
  void *none = &none;
  check_code("it has no IWbemServices", object->QueryInterface(IID_IWbemServices, &none), E_NOINTERFACE);
  check_that("and gives no pointer for it", none == nullptr);
  check_code("QueryInterface to nowhere", object->QueryInterface(IID_IUnknown, nullptr), E_POINTER);

  check_code("QueryInterface ISupportErrorInfo", base->QueryInterface(IID_ISupportErrorInfo, support.raw()), S_OK);
  check_code("error info of the base", support->InterfaceSupportsErrorInfo(IID_IWbemBackupRestore), S_OK);
  check_code("error info of Ex", support->InterfaceSupportsErrorInfo(IID_IWbemBackupRestoreEx), S_OK);
  check_code("no error info of others", support->InterfaceSupportsErrorInfo(IID_IClassFactory), S_FALSE);

  marshal.release();
  object->AddRef();
  check_that("counts go up and down", object->Release() == 6);
  base.release(), again.release(), unknown.release(), other.release(), support.release();
  check_that("the last release gives 0", object.release() == 0);
}
