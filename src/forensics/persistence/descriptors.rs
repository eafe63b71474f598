//! Descriptors of namespaces that let others in (rule P14).

use crate::base::error::Error;
use crate::base::escape::escape;
use crate::cim::path::{ObjectPath, PathKeys};
use crate::format::Dialect;
use crate::format::security::acl::AceBody;
use crate::format::security::descriptor::{Dacl, SecurityDescriptor};
use crate::format::security::sid::Sid;
use crate::security::{AccessRights, sddl};

use super::finding::{Finding, Kind, Level, Rule};
use super::judge::Judgement;
use super::look::Look;

/// The findings on the descriptors of namespaces. One that cannot be read is a fault: it is none of
/// the findings, and nobody can tell what it lets in.
pub(super) fn findings(
    look: &Look,
    namespaces: &[String],
    faults: &mut Vec<Error>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for namespace in namespaces {
        match look.catalog.security_parts(namespace) {
            Ok((Some(descriptor), _)) => {
                findings.extend(of_namespace(look, namespace, &descriptor));
            }
            Ok((None, _)) => {}
            Err(error) => faults.push(error),
        }
    }
    findings
}

fn of_namespace(look: &Look, namespace: &str, own: &SecurityDescriptor) -> Option<Finding> {
    let mut reasons = reasons(look.catalog.dialect(), own);
    reasons.extend(changed_since(look, namespace, own));
    if reasons.is_empty() {
        return None;
    }
    let mut judgement = Judgement::new(Kind::Namespace, Level::Medium);
    judgement.add(Rule::P14, Level::Medium);
    for reason in &reasons {
        judgement.tag(Rule::P14, reason);
    }
    let holder = ObjectPath {
        keys: PathKeys::Singleton,
        ..ObjectPath::of_class("__thisNAMESPACE")
    };
    let holder = look.catalog.instance(namespace, &holder).ok().flatten()?;
    let subject = look.instance(Kind::Namespace, namespace, &holder, None);
    let text = sddl::print(own).unwrap_or_default();
    let words = format!("{}: {}; {text}", escape(namespace), reasons.join("; "));
    Some(judgement.finding(look, words, vec![subject]))
}

/// A descriptor that an older generation on disk has otherwise.
fn changed_since(look: &Look, namespace: &str, own: &SecurityDescriptor) -> Option<String> {
    let older = look
        .generations
        .iter()
        .skip(1)
        .find_map(|(number, catalog)| {
            let (descriptor, _) = catalog.security_parts(namespace).ok()?;
            let descriptor = descriptor.filter(|older| older != own)?;
            Some((number, descriptor))
        })?;
    let text = sddl::print(&older.1).unwrap_or_default();
    Some(format!("generation {} has another: {text}", older.0))
}

/// Why a descriptor lets in whom Windows does not.
fn reasons(dialect: Dialect, descriptor: &SecurityDescriptor) -> Vec<String> {
    let list = match descriptor.dacl() {
        Dacl::Absent | Dacl::Null => return vec!["no access list: everyone may do all".to_owned()],
        Dacl::List(list) => list,
    };
    let entries = list.entries().iter();
    let reasons = entries.filter_map(|entry| match &entry.body {
        AceBody::Allow(trustee) => reason(dialect, &trustee.sid, trustee.mask),
        _ => None,
    });
    reasons.collect()
}

fn reason(dialect: Dialect, sid: &Sid, mask: u32) -> Option<String> {
    let rights = AccessRights::from_bits_retain(mask);
    let text = sid.to_string();
    // Dialect 2.1 lets everyone read, run methods and write through providers.
    let usual = AccessRights::USERS_DEFAULT;
    let is_usual = dialect == Dialect::V21 && usual.contains(rights);
    let is_anyone = *sid == Sid::EVERYONE || ["S-1-5-7", "S-1-5-32-546"].contains(&&*text);
    let changes =
        AccessRights::FULL_WRITE_REP | AccessRights::PARTIAL_WRITE_REP | AccessRights::WRITE_DAC;
    let is_user =
        [Sid::AUTHENTICATED_USERS, Sid::USERS].contains(sid) || text.starts_with("S-1-5-21-");
    let lets_in =
        is_anyone && !(is_usual && *sid == Sid::EVERYONE) || is_user && rights.intersects(changes);
    lets_in.then(|| format!("{text} has {rights}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(dialect: Dialect, text: &str) -> usize {
        reasons(dialect, &sddl::parse(text).unwrap()).len()
    }

    #[test]
    fn usual_descriptors_give_no_reason() {
        for usual in [
            "O:BAG:BAD:(A;CI;0x6003f;;;BA)(A;CI;0x13;;;NS)(A;CI;0x13;;;LS)(A;CI;0x13;;;AU)",
            "O:BAG:BAD:(A;CI;0x20023;;;AU)(A;CI;0x33;;;AU)",
            "O:BAG:BAD:",
        ] {
            assert_eq!(judged(Dialect::V22, usual), 0, "{usual}");
        }
        assert_eq!(judged(Dialect::V21, "O:BAG:BAD:(A;CI;0x13;;;WD)"), 0);
    }

    #[test]
    fn what_lets_others_in_is_a_reason() {
        for open in [
            "O:BAG:BAD:(A;CI;0x1;;;WD)",
            "O:BAG:BAD:(A;CI;0x4;;;AU)",
            "O:BAG:BAD:(A;CI;0x40000;;;BU)",
            "O:BAG:BAD:(A;CI;0x8;;;S-1-5-21-1-2-3-1000)",
            "O:BAG:BA",
        ] {
            assert_eq!(judged(Dialect::V22, open), 1, "{open}");
        }
        assert_eq!(judged(Dialect::V21, "O:BAG:BAD:(A;CI;0x17;;;WD)"), 1);
    }
}
