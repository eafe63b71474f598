//! Recovery of the paths of namespaces that are known only by their hashes. A path is found by
//! hashing if its text occurs anywhere.
//!
//! Candidates are the usual namespaces of Windows, every path in the repository's own files, and
//! every identifier there appended to every known namespace. Source: `docs::objects`, "Names that
//! are lost".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Catalog;
use super::namespaces::{ROOT, is_possible};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, Space};
use crate::cim::name;
use crate::format::name_hash::NameHash;
use crate::store::Snapshot;

/// Paths below `ROOT` that Windows and its components create.
const USUAL: &str = r"CIMV2 CIMV2\Applications CIMV2\Applications\MicrosoftIE CIMV2\Applications\WindowsParentalControls
CIMV2\mdm CIMV2\mdm\dmmap CIMV2\mdm\MS_409 CIMV2\NlmCim CIMV2\power CIMV2\rdms CIMV2\Security
CIMV2\Security\MicrosoftTpm CIMV2\Security\MicrosoftVolumeEncryption CIMV2\sms CIMV2\TerminalServices
CIMV2\vs Cli DEFAULT directory directory\LDAP EventViewer Hardware HyperVCluster HyperVCluster\v2 Interop InventoryLogging
Microsoft Microsoft\HomeNet Microsoft\PolicyPlatform Microsoft\PolicyPlatform\Documents
Microsoft\PolicyPlatform\Documents\Local Microsoft\PolicyPlatform\PolicyRule Microsoft\protectionManagement
Microsoft\SecurityClient Microsoft\SqlServer Microsoft\SqlServer\ComputerManagement Microsoft\Uev Microsoft\Windows
Microsoft\Windows\AppBackgroundTask Microsoft\Windows\CI Microsoft\Windows\Defender
Microsoft\Windows\DeliveryOptimization Microsoft\Windows\DesiredStateConfiguration
Microsoft\Windows\DesiredStateConfigurationProxy Microsoft\Windows\DeviceGuard Microsoft\Windows\DHCP
Microsoft\Windows\DNS Microsoft\Windows\dfsn Microsoft\Windows\EventTracingManagement
Microsoft\Windows\Hgs Microsoft\Windows\PowerShellGet Microsoft\Windows\Powershellv3
Microsoft\Windows\RemoteAccess Microsoft\Windows\RemoteAccess\Client Microsoft\Windows\ServerManager
Microsoft\Windows\SMB Microsoft\Windows\SmbWitness Microsoft\Windows\smbwitness Microsoft\Windows\Storage
Microsoft\Windows\Storage\PT Microsoft\Windows\Storage\PT\Alt Microsoft\Windows\Storage\Providers_v2
Microsoft\Windows\StorageReplica Microsoft\Windows\TaskScheduler Microsoft\Windows\winrm
Microsoft\Windows\WindowsUpdate MicrosoftActiveDirectory MicrosoftCluster MicrosoftDNS MicrosoftIISv2 MicrosoftNLB MSAPPS
MSAPPS10 MSAPPS11 MSAPPS12 MSCluster msdtc nap OpenHardwareMonitor PEH Policy RSOP RSOP\Computer RSOP\User SECURITY
SecurityCenter SecurityCenter2 ServiceModel SMS StandardCimv2 StandardCimv2\embedded snmp subscription virtualization
virtualization\v2 WebAdministration WMI aspnet ccm ccm\ClientSDK ccm\Events ccm\InvAgt ccm\Policy
ccm\Policy\DefaultMachine ccm\Policy\DefaultUser ccm\Policy\Machine ccm\SoftMgmtAgent ccm\SoftwareMeteringAgent";

/// Last components that occur below many namespaces: the languages of amended classes.
const LANGUAGES: &str =
    "ms_409 ms_407 ms_40c ms_40a ms_c0a ms_410 ms_411 ms_412 ms_804 ms_404 ms_416 ms_816 ms_419 \
        ms_413
ms_405 ms_406 ms_40b ms_40e ms_414 ms_415 ms_41d ms_41f ms_408 ms_40d ms_401 ms_809 ms_c04";

/// Longest component of a path that is tried, in bytes.
const MAX_WORD: usize = 128;

/// Number of bytes of the object heap per computed hash, so that the work stays linear in the file,
/// and the number of hashes that is always allowed.
const BYTES_FOR_A_HASH: usize = 4;
const LEAST_HASHES: usize = 1 << 16;

/// Searches for the paths of hashed namespaces among the texts of a repository.
pub(super) struct Naming<'n> {
    catalog: &'n Catalog,
    wanted: BTreeSet<NameHash>,
    found: BTreeMap<NameHash, String>,
    /// Known namespaces, followed by those found, in the order of discovery.
    parents: Vec<String>,
    left: usize,
}

impl<'n> Naming<'n> {
    /// Searches for the paths of these hashes. `known` are the paths of other namespaces.
    pub(super) fn search(
        catalog: &'n Catalog,
        wanted: BTreeSet<NameHash>,
        known: Vec<String>,
    ) -> BTreeMap<NameHash, String> {
        let pages = crate::base::widen(catalog.snapshot.image().logical_pages(Space::Objects));
        let left = (pages * PAGE_SIZE / BYTES_FOR_A_HASH).max(LEAST_HASHES);
        let mut naming = Self {
            catalog,
            wanted,
            found: BTreeMap::new(),
            parents: known,
            left,
        };
        USUAL
            .split_ascii_whitespace()
            .for_each(|path| naming.try_path(&format!(r"{ROOT}\{path}")));
        naming.below_all(&LANGUAGES.split_ascii_whitespace().collect::<Vec<_>>());
        if !naming.is_over() {
            let texts = Texts::of(&catalog.snapshot);
            let words: Vec<&str> = LANGUAGES
                .split_ascii_whitespace()
                .chain(texts.words.iter().map(String::as_str))
                .collect();
            naming.where_names_are_lost(&words);
            texts.paths.iter().for_each(|path| naming.try_path(path));
            naming.where_names_are_lost(&words);
            naming.below_all(&words);
        }
        naming.found
    }

    /// Tries words below namespaces that have a child with an unreadable name, since the hash of
    /// the name is in the child's key.
    fn where_names_are_lost(&mut self, words: &[&str]) {
        let by_hash: HashMap<NameHash, &str> = words
            .iter()
            .map(|word| (self.catalog.keys.hash(word), *word))
            .collect();
        let mut next = 0;
        while let Some(parent) = self.parents.get(next).cloned().filter(|_| !self.is_over()) {
            for lost in self.catalog.lost_children(&parent) {
                if let Some(word) = by_hash.get(&lost) {
                    self.try_one(&format!(r"{parent}\{word}"));
                }
            }
            next += 1;
        }
    }

    /// Tries words below every namespace, including those found in the meantime.
    fn below_all(&mut self, words: &[&str]) {
        let mut next = 0;
        while let Some(parent) = self.parents.get(next).cloned().filter(|_| !self.is_over()) {
            words
                .iter()
                .for_each(|word| self.try_one(&format!(r"{parent}\{word}")));
            next += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.wanted.is_empty() || self.left == 0
    }

    /// Tries a path and each of its ancestors.
    fn try_path(&mut self, path: &str) {
        let ends = path
            .match_indices('\\')
            .map(|(at, _)| at)
            .chain([path.len()]);
        let fronts: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
        fronts.into_iter().for_each(|front| self.try_one(front));
    }

    fn try_one(&mut self, path: &str) {
        if self.is_over() || !is_possible(path) {
            return;
        }
        self.left -= 1;
        let hash = self.catalog.keys.hash(path);
        if self.wanted.remove(&hash) {
            self.found.insert(hash, path.to_owned());
            self.parents.push(path.to_owned());
        }
    }
}

/// The texts of the object heap that may name a namespace.
#[derive(Default)]
struct Texts {
    /// Paths from `ROOT`, in the spelling that was met first.
    paths: Vec<String>,
    /// Single identifiers.
    words: Vec<String>,
    seen: HashSet<String>,
}

impl Texts {
    fn of(snapshot: &Snapshot) -> Self {
        let mut texts = Self::default();
        for page in 0..snapshot.image().logical_pages(Space::Objects) {
            let Some(page) = LogicalPage::new(page) else {
                break;
            };
            // A torn page still has texts; one that cannot be read has none.
            if let Ok(bytes) = snapshot.page(Space::Objects, page) {
                runs(&bytes[..], 1)
                    .into_iter()
                    .chain(runs(&bytes[..], 2))
                    .for_each(|run| texts.add(&run));
            }
        }
        texts
    }

    fn add(&mut self, run: &str) {
        let parts: Vec<&str> = run
            .split(['\\', '/'])
            .filter(|part| !part.is_empty())
            .collect();
        if let Some(root) = parts.iter().position(|part| name::same(part, ROOT))
            && let Some(below) = parts.get(root + 1..).filter(|below| !below.is_empty())
        {
            let path = format!(r"{ROOT}\{}", below.join("\\"));
            if self.seen.insert(name::to_upper(&path)) {
                self.paths.push(path);
            }
        }
        for part in parts.into_iter().filter(|part| part.len() <= MAX_WORD) {
            if self.seen.insert(name::to_upper(part)) {
                self.words.push(part.to_owned());
            }
        }
    }
}

/// The runs of characters that can be part of a namespace path, in ASCII (`width` 1) or UTF-16LE
/// (`width` 2).
fn runs(bytes: &[u8], width: usize) -> Vec<String> {
    let mut found = Vec::new();
    for start in 0..width {
        let mut run = String::new();
        for unit in bytes.get(start..).unwrap_or_default().chunks(width) {
            let (low, high) = (
                unit.first().copied().unwrap_or(0),
                unit.get(1).copied().unwrap_or(0),
            );
            if high == 0 && is_of_path(low) {
                run.push(char::from(low));
            } else if !run.is_empty() {
                found.extend((run.len() > 1).then(|| std::mem::take(&mut run)));
                run.clear();
            }
        }
        found.extend((run.len() > 1).then_some(run));
    }
    found
}

const fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'\\' | b'/')
}
