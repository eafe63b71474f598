//! The caller's token: who calls, with which privileges, and the identity to act under.

#![expect(unsafe_code, reason = "the system tells it through raw buffers")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_core::HRESULT;
use windows_sys::Win32::Foundation::{
    CO_E_NOTINITIALIZED, ERROR_NO_TOKEN, GetLastError, LUID, RPC_E_CALL_COMPLETE,
};
use windows_sys::Win32::Security::{
    GetLengthSid, GetTokenInformation, IsTokenRestricted, LookupPrivilegeValueW, PSID,
    SE_BACKUP_NAME, SE_PRIVILEGE_ENABLED, SE_RESTORE_NAME, TOKEN_GROUPS, TOKEN_IMPERSONATE,
    TOKEN_INFORMATION_CLASS, TOKEN_PRIVILEGES, TOKEN_QUERY, TOKEN_USER, TokenGroups,
    TokenPrivileges, TokenUser,
};
use windows_sys::Win32::System::Com::{CoImpersonateClient, CoRevertToSelf};
use windows_sys::Win32::System::SystemServices::{SE_GROUP_ENABLED, SE_GROUP_USE_FOR_DENY_ONLY};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken, SetThreadToken,
};

use crate::base::error::{Error, Result};
use crate::format::security::sid::Sid;
use crate::security::{AuthenticationLevel, Caller, Origin, Privileges};

/// The authority of the accounts of Windows.
const NT_AUTHORITY: u64 = 5;

/// Behind it, the group of all who come over the network.
const NETWORK: [u32; 1] = [2];

/// Most bytes that are read of one part of a token: the system's own bound on groups is far below.
const MAX_INFORMATION: u32 = 1 << 20;

/// The caller of the call that runs on this thread: the client that COM called for, else whom the
/// thread impersonates, else the user of the process.
pub(super) fn caller() -> Result<Caller> {
    let impersonation = Impersonation::begin()?;
    let caller = read_token();
    impersonation.end()?;
    caller
}

/// Token of the identity that the call acts under: the client that COM called for, else the one
/// that the thread impersonates. `None` for the process itself.
pub(super) fn to_act_as() -> Result<Option<Token>> {
    let impersonation = Impersonation::begin()?;
    let token = Token::worn()
        .map_err(|error| refused("open the token", windows_core::Error::from(error).code()));
    impersonation.end()?;
    token
}

fn read_token() -> Result<Caller> {
    let token = Token::of_thread()?;
    token.need_one_list()?;
    let groups = token.groups()?;
    let is_network =
        |group: &Sid| group.authority() == NT_AUTHORITY && group.sub_authorities() == NETWORK;
    // How well the packets of the call are protected the token does not say: not at all is assumed.
    let origin = if groups.iter().any(is_network) {
        Origin::Remote(AuthenticationLevel::None)
    } else {
        Origin::Local
    };
    let enabled = token.privileges()?;
    Ok(Caller::new(token.user()?, origin)
        .in_groups(groups)
        .holding(enabled)
        .enabling(enabled))
}

/// Whoever cannot be recognised is refused; the reason is the system's.
fn refused(action: &str, code: HRESULT) -> Error {
    let reason = windows_core::Error::from_hresult(code);
    Error::denied(format!(
        "it cannot be found out who calls: cannot {action}: {reason}"
    ))
}

fn last_refusal(action: &str) -> Error {
    // SAFETY: it only reads a number of this thread.
    refused(action, HRESULT::from_win32(unsafe { GetLastError() }))
}

/// The identity of a client in another apartment or process, worn until it is [ended](Self::end),
/// or this is dropped.
struct Impersonation {
    is_client: bool,
}

impl Impersonation {
    fn begin() -> Result<Self> {
        // SAFETY: it takes nothing; what it does to the thread, dropping this value takes back.
        let code = unsafe { CoImpersonateClient() };
        match code {
            0.. => Ok(Self { is_client: true }),
            // Not called through COM's channel: by a plain pointer, as in one apartment or by agile
            // objects.
            RPC_E_CALL_COMPLETE | CO_E_NOTINITIALIZED => Ok(Self { is_client: false }),
            code => Err(refused("impersonate the client", HRESULT(code))),
        }
    }

    /// Takes the identity off. A call that cannot must not go on with it: it would do as the client
    /// what is its own.
    fn end(mut self) -> Result<()> {
        if !std::mem::take(&mut self.is_client) {
            return Ok(());
        }
        // SAFETY: it takes back what `begin` did, on the same thread.
        match unsafe { CoRevertToSelf() } {
            0.. => Ok(()),
            code => Err(refused(
                "revert to the identity of this process",
                HRESULT(code),
            )),
        }
    }
}

impl Drop for Impersonation {
    fn drop(&mut self) {
        if self.is_client {
            // SAFETY: it takes back what `begin` did, on the same thread.
            unsafe { CoRevertToSelf() };
        }
    }
}

/// The identity of a token, worn by this thread until it is [ended](Self::end), or this is dropped.
pub(super) struct Worn {
    before: Option<Token>,
    is_on: bool,
}

impl Worn {
    /// Gives the thread the identity back that it had.
    pub(super) fn end(mut self) -> io::Result<()> {
        set_thread_token(self.before.as_ref())?;
        self.is_on = false;
        Ok(())
    }
}

impl Drop for Worn {
    fn drop(&mut self) {
        if self.is_on {
            // It was refused before, or something panicked.
            set_thread_token(self.before.as_ref()).ok();
        }
    }
}

/// Gives this thread an identity; `None`: that of the process.
fn set_thread_token(token: Option<&Token>) -> io::Result<()> {
    let handle = token.map_or(ptr::null_mut(), |token| token.0.as_raw_handle());
    // SAFETY: no thread means this one; the handle is open, or null.
    match unsafe { SetThreadToken(ptr::null(), handle) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// An open token.
#[derive(Debug)]
pub(super) struct Token(OwnedHandle);

impl Token {
    /// Gives this thread the identity of the token.
    pub(super) fn wear(&self) -> io::Result<Worn> {
        let before = Self::worn()?;
        set_thread_token(Some(self))?;
        Ok(Worn {
            before,
            is_on: true,
        })
    }

    /// The token that this thread wears, to be given to a thread; `None` for that of the process.
    fn worn() -> io::Result<Option<Self>> {
        let mut handle = ptr::null_mut();
        // Opened as the process, as in `of_thread`.
        // SAFETY: `handle` is where the result belongs; the other handle always means this thread.
        if unsafe {
            OpenThreadToken(
                GetCurrentThread(),
                TOKEN_QUERY | TOKEN_IMPERSONATE,
                1,
                &raw mut handle,
            )
        } != 0
        {
            // SAFETY: the handle was just opened, and is nobody else's.
            return Ok(Some(Self(unsafe { OwnedHandle::from_raw_handle(handle) })));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(ERROR_NO_TOKEN.cast_signed()) => Ok(None),
            error => Err(error),
        }
    }

    fn of_thread() -> Result<Self> {
        let mut handle = ptr::null_mut();
        // Opened as the process: whom the thread impersonates may not be allowed to look at its own
        // token. SAFETY: `handle` is where the result belongs; the other handles always mean this
        // thread and this process.
        let opened = unsafe {
            OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &raw mut handle) != 0
                || (GetLastError() == ERROR_NO_TOKEN
                    && OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut handle) != 0)
        };
        if !opened {
            return Err(last_refusal("open the token"));
        }
        // SAFETY: the handle was just opened, and is nobody else's.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// A token with a second list, of restricting identifiers, may less than its groups and
    /// privileges say.
    fn need_one_list(&self) -> Result<()> {
        // SAFETY: the handle is open.
        match unsafe { IsTokenRestricted(self.0.as_raw_handle()) } {
            0 => Ok(()),
            _ => Err(Error::denied(
                "the caller's token is restricted; call with an unrestricted one",
            )),
        }
    }

    /// One part of the token, in words, so that what is in it lies as its types demand.
    fn information(&self, class: TOKEN_INFORMATION_CLASS) -> Result<Vec<usize>> {
        let mut len = 0;
        // SAFETY: with no room at all the call only tells how much it needs.
        unsafe {
            GetTokenInformation(
                self.0.as_raw_handle(),
                class,
                ptr::null_mut(),
                0,
                &raw mut len,
            )
        };
        if len == 0 || len > MAX_INFORMATION {
            return Err(last_refusal("read the size of the token"));
        }
        let mut words = vec![0_usize; (len as usize).div_ceil(size_of::<usize>())];
        // SAFETY: the buffer has at least `len` bytes.
        let read = unsafe {
            let buffer = words.as_mut_ptr().cast::<c_void>();
            GetTokenInformation(self.0.as_raw_handle(), class, buffer, len, &raw mut len)
        };
        if read != 0 {
            Ok(words)
        } else {
            Err(last_refusal("read the token"))
        }
    }

    fn user(&self) -> Result<Sid> {
        let words = self.information(TokenUser)?;
        // SAFETY: the system filled the buffer with this structure, and the identifier lies behind
        // it in the same buffer.
        unsafe { sid((*words.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
    }

    fn groups(&self) -> Result<Vec<Sid>> {
        let words = self.information(TokenGroups)?;
        let groups = words.as_ptr().cast::<TOKEN_GROUPS>();
        let mut sids = Vec::new();
        // SAFETY: the system filled the buffer with this structure; behind its head lie as many
        // entries as it says, and behind those what they point to.
        unsafe {
            let first = (&raw const (*groups).Groups)
                .cast::<windows_sys::Win32::Security::SID_AND_ATTRIBUTES>();
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

    fn privileges(&self) -> Result<Privileges> {
        let known = [
            (luid(SE_BACKUP_NAME)?, Privileges::BACKUP),
            (luid(SE_RESTORE_NAME)?, Privileges::RESTORE),
        ];
        let words = self.information(TokenPrivileges)?;
        let held = words.as_ptr().cast::<TOKEN_PRIVILEGES>();
        let mut enabled = Privileges::empty();
        // SAFETY: as for the groups.
        unsafe {
            let first = (&raw const (*held).Privileges)
                .cast::<windows_sys::Win32::Security::LUID_AND_ATTRIBUTES>();
            for at in 0..(*held).PrivilegeCount as usize {
                let privilege = *first.add(at);
                // held is not enough.
                if privilege.Attributes & SE_PRIVILEGE_ENABLED != 0 {
                    let number = (privilege.Luid.LowPart, privilege.Luid.HighPart);
                    enabled |= known
                        .iter()
                        .filter(|(luid, _)| *luid == number)
                        .map(|&(_, privilege)| privilege)
                        .collect();
                }
            }
        }
        Ok(enabled)
    }
}

/// The number that a privilege has on this machine.
fn luid(name: *const u16) -> Result<(u32, i32)> {
    let mut luid = LUID {
        LowPart: 0,
        HighPart: 0,
    };
    // SAFETY: the names are constants that end with a zero; `luid` is where the result belongs.
    match unsafe { LookupPrivilegeValueW(ptr::null(), name, &raw mut luid) } {
        0 => Err(last_refusal("look up a privilege")),
        _ => Ok((luid.LowPart, luid.HighPart)),
    }
}

/// A security identifier.
///
/// # Safety
/// `sid` leads to a whole identifier.
unsafe fn sid(sid: PSID) -> Result<Sid> {
    // SAFETY: the identifier is whole, so it has as many bytes as it says.
    let bytes = unsafe { std::slice::from_raw_parts(sid.cast::<u8>(), GetLengthSid(sid) as usize) };
    Sid::from_bytes(bytes).ok_or_else(|| Error::denied("the token has an identifier that is none"))
}
