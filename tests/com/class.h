/* What the documents say of the class: no header of Windows has it. */
#ifndef CLASS_H
#define CLASS_H

#include <windows.h>

static const CLSID CLSID_Cimrepo = {0x71c2737c, 0x6419, 0x4674, {0x90, 0xf6, 0xeb, 0x34, 0x92, 0x9e, 0xa1, 0xcf}};

#define CIMREPO_VARIABLE L"CIMREPO_REPOSITORY"
#define CIMREPO_KEY L"SOFTWARE\\cimrepo"
#define CIMREPO_VALUE L"Repository"
#define CIMREPO_LOCK L".cimrepo.lock"

#endif
