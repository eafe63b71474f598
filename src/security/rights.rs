//! Access rights to a namespace.

use std::fmt;

bitflags::bitflags! {
    /// Access rights to a namespace, as an access mask. Sources: WMI SDK, "Namespace Access Rights
    /// Constants" and `WBEM_SECURITY_FLAGS`; [MS-WMI] 5.2.
    ///
    /// The generic rights (0xF0000000) have no meaning here: no source maps them, and no known list
    /// of a namespace contains one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AccessRights: u32 {
        /// `WBEM_ENABLE`: reading, and connecting at all.
        const ENABLE = 0x1;
        /// `WBEM_METHOD_EXECUTE`: running methods.
        const METHOD_EXECUTE = 0x2;
        /// `WBEM_FULL_WRITE_REP`: writing classes and instances, except system classes.
        const FULL_WRITE_REP = 0x4;
        /// `WBEM_PARTIAL_WRITE_REP`: updating and deleting static instances, but not classes. (One
        /// page of the SDK says provider instances; two other sources say static ones.)
        const PARTIAL_WRITE_REP = 0x8;
        /// `WBEM_WRITE_PROVIDER`: writing through providers.
        const WRITE_PROVIDER = 0x10;
        /// `WBEM_REMOTE_ACCESS`: connecting from another machine.
        const REMOTE_ACCESS = 0x20;
        /// `WBEM_RIGHT_SUBSCRIBE`: subscribing to events that go to a sink.
        const RIGHT_SUBSCRIBE = 0x40;
        /// `WBEM_RIGHT_PUBLISH`: publishing events to the filter of a permanent consumer.
        const RIGHT_PUBLISH = 0x80;
        /// `READ_CONTROL`: reading the descriptor.
        const READ_CONTROL = 0x2_0000;
        /// `WRITE_DAC`: changing the access control list.
        const WRITE_DAC = 0x4_0000;
    }
}

impl AccessRights {
    /// Default rights of administrators: everything except events, 0x6003F.
    pub const ADMINISTRATORS_DEFAULT: AccessRights = AccessRights::ENABLE
        .union(AccessRights::METHOD_EXECUTE)
        .union(AccessRights::FULL_WRITE)
        .union(AccessRights::REMOTE_ACCESS)
        .union(AccessRights::READ_CONTROL)
        .union(AccessRights::WRITE_DAC);

    /// Default rights of services and authenticated users: reading, methods, and writing through
    /// providers, 0x13. Two pages of the SDK disagree about them; every known repository has these.
    pub const USERS_DEFAULT: AccessRights = AccessRights::ENABLE
        .union(AccessRights::METHOD_EXECUTE)
        .union(AccessRights::WRITE_PROVIDER);

    /// Writing everything, 0x1C: the right to write everything includes those to write a part.
    pub const FULL_WRITE: AccessRights = AccessRights::FULL_WRITE_REP
        .union(AccessRights::PARTIAL_WRITE_REP)
        .union(AccessRights::WRITE_PROVIDER);
}

impl fmt::Display for AccessRights {
    /// The names of the rights, for messages: `ENABLE, WRITE_DAC`; bits without a name in
    /// hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.iter_names();
        let mut separator = "";
        for (name, _) in names.by_ref() {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        match names.remaining().bits() {
            0 if self.is_empty() => f.write_str("nothing"),
            0 => Ok(()),
            unknown => write!(f, "{separator}{unknown:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_have_their_documented_values() {
        let values = [
            (AccessRights::ENABLE, 0x1),
            (AccessRights::METHOD_EXECUTE, 0x2),
            (AccessRights::FULL_WRITE_REP, 0x4),
            (AccessRights::PARTIAL_WRITE_REP, 0x8),
            (AccessRights::WRITE_PROVIDER, 0x10),
            (AccessRights::REMOTE_ACCESS, 0x20),
            (AccessRights::RIGHT_SUBSCRIBE, 0x40),
            (AccessRights::RIGHT_PUBLISH, 0x80),
            (AccessRights::READ_CONTROL, 0x20000),
            (AccessRights::WRITE_DAC, 0x40000),
            (AccessRights::ADMINISTRATORS_DEFAULT, 0x6003F),
            (AccessRights::USERS_DEFAULT, 0x13),
            (AccessRights::FULL_WRITE, 0x1C),
            (AccessRights::all(), 0x600FF),
        ];
        values
            .into_iter()
            .for_each(|(right, bits)| assert_eq!(right.bits(), bits, "{right}"));
    }

    #[test]
    fn rights_are_named_in_messages() {
        assert_eq!(
            (AccessRights::ENABLE | AccessRights::WRITE_DAC).to_string(),
            "ENABLE, WRITE_DAC"
        );
        assert_eq!(AccessRights::empty().to_string(), "nothing");
        assert_eq!(
            AccessRights::from_bits_retain(0x101).to_string(),
            "ENABLE, 0x100"
        );
        assert_eq!(AccessRights::from_bits_retain(0x100).to_string(), "0x100");
    }
}
