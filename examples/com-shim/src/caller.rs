//! The caller: the client that COM called for, else whom the thread impersonates, else the user of
//! the process; with the privileges that are enabled in its token.

use std::ffi::c_void;

use cimrepo::{AuthenticationLevel, Error, Identity, Origin, Privileges, Sid};
use windows::Win32::Foundation::{
    CO_E_NOTINITIALIZED, ERROR_NO_TOKEN, HANDLE, LUID, RPC_E_CALL_COMPLETE,
};
use windows::Win32::Security::{
    GetLengthSid, GetTokenInformation, IsTokenRestricted, LUID_AND_ATTRIBUTES,
    LookupPrivilegeValueW, PSID, SE_BACKUP_NAME, SE_PRIVILEGE_ENABLED, SE_RESTORE_NAME,
    SID_AND_ATTRIBUTES, TOKEN_GROUPS, TOKEN_INFORMATION_CLASS, TOKEN_PRIVILEGES, TOKEN_QUERY,
    TOKEN_USER, TokenGroups, TokenPrivileges, TokenUser,
};
use windows::Win32::System::Com::{CoImpersonateClient, CoRevertToSelf};
use windows::Win32::System::SystemServices::{SE_GROUP_ENABLED, SE_GROUP_USE_FOR_DENY_ONLY};
use windows::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken,
};
use windows::core::{Owned, PCWSTR};

type Result<T> = cimrepo::Result<T>;

/// Most bytes that are read of one part of a token.
const MAX_INFORMATION: u32 = 1 << 20;

/// The caller of the call that runs on this thread.
pub fn caller() -> Result<Identity> {
    let is_client = impersonate()?;
    let caller = token().and_then(|token| read(*token));
    if is_client {
        // Going on as somebody else would be worse than no answer.
        // SAFETY: it takes back what `impersonate` did, on the same thread.
        unsafe { CoRevertToSelf() }.map_err(|error| refused("stop impersonating", &error))?;
    }
    caller
}

/// A caller who cannot be recognised is refused.
fn refused(action: &str, error: &windows::core::Error) -> Error {
    denied(format!("it cannot be found out who calls: cannot {action}: {error}"))
}

fn denied(text: impl Into<String>) -> Error {
    Error::AccessDenied(text.into().into())
}

/// Wears the identity of a client in another apartment or process, if there is one.
fn impersonate() -> Result<bool> {
    // SAFETY: it takes nothing; `caller` takes back what it does.
    match unsafe { CoImpersonateClient() } {
        Ok(()) => Ok(true),
        // Called by a plain pointer, not through COM's channel.
        Err(error) if [RPC_E_CALL_COMPLETE, CO_E_NOTINITIALIZED].contains(&error.code()) => {
            Ok(false)
        }
        Err(error) => Err(refused("impersonate the client", &error)),
    }
}

fn token() -> Result<Owned<HANDLE>> {
    let mut handle = HANDLE::default();
    // Opened as the process: the impersonated user may not be allowed to look at its own token.
    // SAFETY: `handle` is where the result belongs.
    let opened = unsafe {
        match OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, true, &mut handle) {
            Err(error) if error.code() == ERROR_NO_TOKEN.to_hresult() => {
                OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut handle)
            }
            opened => opened,
        }
    };
    opened.map_err(|error| refused("open the token", &error))?;
    // SAFETY: the handle was just opened and is nobody else's.
    Ok(unsafe { Owned::new(handle) })
}

fn read(token: HANDLE) -> Result<Identity> {
    // SAFETY: the handle is open.
    if unsafe { IsTokenRestricted(token) }.is_ok() {
        return Err(denied("the caller's token is restricted; call with an unrestricted one"));
    }
    let groups = groups(token)?;
    let network: Sid = "S-1-5-2".parse().map_err(|_| denied("the network has no identifier"))?;
    // The token does not say how well the call is protected: not at all is assumed.
    let origin = match groups.contains(&network) {
        true => Origin::Remote(AuthenticationLevel::None),
        false => Origin::Local,
    };
    let enabled = privileges(token)?;
    Ok(Identity::new(user(token)?, origin).in_groups(groups).holding(enabled).enabling(enabled))
}

/// One part of the token, in words, so that its structures lie as their types demand.
fn information(token: HANDLE, class: TOKEN_INFORMATION_CLASS) -> Result<Vec<usize>> {
    let mut len = 0;
    // SAFETY: without a buffer the call only tells the size.
    let size = unsafe { GetTokenInformation(token, class, None, 0, &mut len) };
    if len == 0 || len > MAX_INFORMATION {
        let error = size.err().unwrap_or_else(windows::core::Error::empty);
        return Err(refused("read the size of the token", &error));
    }
    let mut words = vec![0_usize; (len as usize).div_ceil(size_of::<usize>())];
    let buffer = words.as_mut_ptr().cast::<c_void>();
    // SAFETY: the buffer has at least `len` bytes.
    let read = unsafe { GetTokenInformation(token, class, Some(buffer), len, &mut len) };
    read.map_err(|error| refused("read the token", &error))?;
    Ok(words)
}

fn user(token: HANDLE) -> Result<Sid> {
    let words = information(token, TokenUser)?;
    // SAFETY: the system filled the buffer with this structure and the identifier it points to.
    unsafe { sid((*words.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
}

fn groups(token: HANDLE) -> Result<Vec<Sid>> {
    let words = information(token, TokenGroups)?;
    let groups = words.as_ptr().cast::<TOKEN_GROUPS>();
    let mut sids = Vec::new();
    // SAFETY: the system filled the buffer with as many entries as the head says, and with what
    // they point to.
    unsafe {
        let first = (&raw const (*groups).Groups).cast::<SID_AND_ATTRIBUTES>();
        for at in 0..(*groups).GroupCount as usize {
            let group = *first.add(at);
            let marks = group.Attributes.cast_signed();
            if marks & SE_GROUP_ENABLED != 0 && marks & SE_GROUP_USE_FOR_DENY_ONLY == 0 {
                sids.push(sid(group.Sid)?);
            }
        }
    }
    Ok(sids)
}

fn privileges(token: HANDLE) -> Result<Privileges> {
    let backup = luid(SE_BACKUP_NAME)?;
    let restore = luid(SE_RESTORE_NAME)?;
    let words = information(token, TokenPrivileges)?;
    let held = words.as_ptr().cast::<TOKEN_PRIVILEGES>();
    let mut enabled = Privileges::empty();
    // SAFETY: as for the groups.
    unsafe {
        let first = (&raw const (*held).Privileges).cast::<LUID_AND_ATTRIBUTES>();
        for at in 0..(*held).PrivilegeCount as usize {
            let privilege = *first.add(at);
            // Held is not enough.
            if !privilege.Attributes.contains(SE_PRIVILEGE_ENABLED) {
                continue;
            }
            if privilege.Luid == backup {
                enabled |= Privileges::BACKUP;
            } else if privilege.Luid == restore {
                enabled |= Privileges::RESTORE;
            }
        }
    }
    Ok(enabled)
}

/// The number that a privilege has on this machine.
fn luid(name: PCWSTR) -> Result<LUID> {
    let mut luid = LUID::default();
    // SAFETY: `luid` is where the result belongs.
    unsafe { LookupPrivilegeValueW(None, name, &mut luid) }
        .map_err(|error| refused("look up a privilege", &error))?;
    Ok(luid)
}

/// # Safety
/// `sid` leads to a whole identifier.
unsafe fn sid(sid: PSID) -> Result<Sid> {
    // SAFETY: the identifier is whole, so it has as many bytes as it says.
    let bytes =
        unsafe { std::slice::from_raw_parts(sid.0.cast::<u8>(), GetLengthSid(sid) as usize) };
    Sid::from_bytes(bytes).ok_or_else(|| denied("the token has an identifier that is none"))
}
