//! Level references: the content of objects compared with the stored keys in both directions,
//! stamps, and the targets of references. In the same pass, level schema examines each class and
//! instance.
//!
//! The keys of an object that cannot be read are reported too, because nothing accounts for them.

use std::collections::{HashMap, HashSet};

use super::advice::Advices;
use super::report::GenerationReport;
use super::schema;
use crate::base::corruption::{Corruption, CorruptionCode as Code};
use crate::base::error::{Error, Result};
use crate::base::filetime::FileTime;
use crate::base::findings::Findings;
use crate::base::page_no::{RecordRef, Space};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::{FileRole, Site};
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::keys::{InstanceKeys, OutgoingReference, class_keys, instance_keys};
use crate::catalog::{Catalog, Census, Counted, Family, StoredClass, StoredInstance};
use crate::format::index::key::Key;
use crate::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use crate::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};
use crate::store::Snapshot;

/// Depth of a verification. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Pages, records and keys, and the agreement between them.
    #[default]
    Structure,
    /// The stored keys are those that the content of objects requires, references lead to existing
    /// objects, and stamps are right.
    References,
    /// Classes and instances obey the rules of the model.
    Schema,
}

/// Continues where [`verify`](super::verify) ends, with the content of the objects of a snapshot,
/// and adds its findings to the report. An object that cannot be read is one finding, and the
/// others follow.
///
/// # Errors
/// Returns [`Error::Io`] if the system refuses, and [`Error::Cancelled`] if the observer asks to
/// stop.
pub fn verify_content(
    snapshot: &Snapshot,
    level: Level,
    observer: &dyn Observer,
    report: &mut GenerationReport,
) -> Result<()> {
    let is_readable = Space::ALL.into_iter().all(|space| snapshot.has(space));
    if level == Level::Structure || !is_readable {
        return Ok(());
    }
    let mut findings = Findings::default();
    findings.extend(std::mem::take(&mut report.findings));
    let monitor = Monitor::new(observer, Phase::Verify, report.keys);
    let (census, advice) = Check::new(snapshot, level, &monitor).run(&mut findings)?;
    (report.census, report.advice) = (Some(census), advice);
    let not_listed;
    (report.findings, not_listed) = findings.finish();
    report.not_listed += not_listed;
    Ok(())
}

struct Check<'c> {
    catalog: Catalog,
    level: Level,
    monitor: &'c Monitor<'c>,
    /// The keys that objects require, including their record if they name one.
    expected: HashSet<String>,
    /// The references that instances make, by their keys, with the place of the instance.
    made: HashMap<String, Made>,
    /// The keys without record of the existing instances, which are the possible targets of
    /// references.
    instances: HashSet<String>,
    stamps: HashMap<u64, RecordRef>,
    /// Records that cannot be read. Their own keys do not cause a second finding.
    unreadable: HashSet<RecordRef>,
    census: Census,
    advice: Advices,
}

struct Made {
    by: RecordRef,
    /// The key of its target. `None` if its path cannot denote an instance, which is reported
    /// already.
    target: Option<String>,
    record: ReferenceRecord,
}

impl<'c> Check<'c> {
    fn new(snapshot: &Snapshot, level: Level, monitor: &'c Monitor<'c>) -> Self {
        Self {
            catalog: Catalog::strict(snapshot.clone()).each_once(),
            level,
            monitor,
            expected: HashSet::new(),
            made: HashMap::new(),
            instances: HashSet::new(),
            stamps: HashMap::new(),
            unreadable: HashSet::new(),
            census: Census::of_snapshot(snapshot),
            advice: Advices::default(),
        }
    }

    fn run(mut self, findings: &mut Findings) -> Result<(Census, Advices)> {
        let mut namespaces = vec![SYSTEM_NAMESPACE.to_owned()];
        let found = self
            .catalog
            .all_namespaces_while(&mut || self.monitor.check())?;
        self.census.has_namespaces(&found);
        for namespace in found.tree {
            match namespace {
                Ok(namespace) => namespaces.push(namespace),
                // It is met again among the instances.
                Err(error) => drop(corruption(error)?),
            }
        }
        for hidden in found.hidden {
            self.census.hidden += 1;
            report_key(findings, Code::NamespaceHidden, &hidden.path);
            namespaces.push(hidden.path);
        }
        namespaces
            .iter()
            .skip(1)
            .for_each(|_| self.census.reach(Counted::Namespaces));
        for namespace in &namespaces {
            self.monitor.check()?;
            self.classes(namespace, findings)?;
            self.instances(namespace, findings)?;
        }
        self.compare(findings)?;
        Ok((self.census, self.advice))
    }

    fn classes(&mut self, namespace: &str, findings: &mut Findings) -> Result<()> {
        let catalog = self.catalog.clone();
        for (key, record) in self.records(namespace, Family::Classes, findings)? {
            self.monitor.check()?;
            let Some((_, KeyShape::Class(name))) = KeyShape::parse(key.as_bytes()) else {
                continue;
            };
            match catalog.class_by_hash(namespace, name) {
                // Of several keys for one name, look-ups find only one.
                Ok(Some(class)) if class.record != record => {
                    self.census.lose_by(Code::KeyUnexpected.as_str())
                }
                Ok(Some(class)) => {
                    self.census.reach(Counted::Classes);
                    self.class(namespace, &class, findings);
                }
                Ok(None) => {}
                Err(error) => self.unreadable(error, record, findings)?,
            }
        }
        Ok(())
    }

    fn class(&mut self, namespace: &str, class: &StoredClass, findings: &mut Findings) {
        let keys = class_keys(self.catalog.keys(), namespace, &class.class);
        self.expected
            .insert(format!("{}.{}", keys.definition, class.record));
        self.expected.insert(keys.subclass);
        self.expected.extend(keys.references);
        self.stamp(class.stamp, class.record, findings);
        if self.level >= Level::Schema {
            schema::check_class(&class.class, &mut |code, detail| {
                self.report(findings, code, class.record, || {
                    format!("{namespace}:{}: {detail}", class.class.name())
                });
            });
        }
    }

    fn instances(&mut self, namespace: &str, findings: &mut Findings) -> Result<()> {
        let catalog = self.catalog.clone();
        for (_, record) in self.records(namespace, Family::Instances, findings)? {
            self.monitor.check()?;
            match catalog.instance_of_record(namespace, record) {
                Ok(instance) => {
                    self.census.reach(Counted::Instances);
                    self.instance(namespace, &instance, findings)?;
                }
                Err(error) => self.unreadable(error, record, findings)?,
            }
        }
        Ok(())
    }

    fn instance(
        &mut self,
        namespace: &str,
        stored: &StoredInstance,
        findings: &mut Findings,
    ) -> Result<()> {
        let class = stored.instance.class().clone();
        let name = class.name();
        self.stamp(stored.stamp, stored.record, findings);
        let written_under = self
            .catalog
            .class(namespace, name.as_str())?
            .map(|class| class.stamp);
        if written_under != Some(stored.class_stamp) {
            self.report(findings, Code::ObjectClassStamp, stored.record, || {
                format!("{namespace}:{name}")
            });
        }
        match instance_keys(self.catalog.keys(), namespace, &stored.instance) {
            Ok(keys) => {
                self.references(namespace, stored, &keys, findings)?;
                self.expected
                    .insert(format!("{}.{}", keys.own, stored.record));
                self.expected
                    .insert(format!("{}.{}", keys.keyed, stored.record));
                self.instances.insert(keys.keyed);
            }
            Err(error) => {
                self.unreadable.insert(stored.record);
                self.report(findings, Code::ObjectNoKey, stored.record, || {
                    format!("{namespace}:{name}: {error}")
                });
            }
        }
        if self.level >= Level::Schema {
            schema::check_instance(&stored.instance, &mut |code, detail| {
                self.report(findings, code, stored.record, || {
                    format!("{namespace}:{name}: {detail}")
                });
            });
            self.advice.look_at(namespace, &stored.instance);
        }
        Ok(())
    }

    fn references(
        &mut self,
        namespace: &str,
        stored: &StoredInstance,
        keys: &InstanceKeys,
        findings: &mut Findings,
    ) -> Result<()> {
        let outgoing = match self
            .catalog
            .outgoing_references(namespace, &stored.instance, keys)
        {
            Ok(outgoing) => outgoing,
            // The instance was reached; its references cannot be determined.
            Err(error) => {
                self.unreadable.insert(stored.record);
                findings.push(corruption(error)?);
                return Ok(());
            }
        };
        let name = stored.instance.class().name();
        for OutgoingReference {
            property,
            target,
            mismatch,
        } in outgoing
        {
            let dangling = |text: &str| format!("{namespace}:{name}, property {property}: {text}");
            match target {
                Ok(made) => {
                    let target = made.key.replace(r"\IR_", r"\I_");
                    let mut target = target
                        .rsplit_once('\\')
                        .map(|(target, _)| target.to_owned());
                    if let Some(mismatch) = mismatch {
                        target = None;
                        let detail = || dangling(&mismatch.to_string());
                        self.report(findings, Code::ReferenceDangling, stored.record, detail);
                    }
                    let made_by = Made {
                        by: stored.record,
                        target,
                        record: made.record,
                    };
                    self.made.entry(made.key).or_insert(made_by);
                }
                Err(_) => self.report(findings, Code::ReferenceDangling, stored.record, || {
                    dangling("it names no namespace or instance")
                }),
            }
        }
        Ok(())
    }

    /// Compares the stored keys with those that objects require.
    fn compare(&mut self, findings: &mut Findings) -> Result<()> {
        let mut met = HashSet::new();
        let snapshot = self.catalog.snapshot().clone();
        for key in snapshot.keys(KeyRange::all(), Direction::Forward) {
            self.monitor.advance(1)?;
            // A key that cannot be read is a finding of the structure already.
            let Ok(key) = key else { continue };
            let text = key.to_string();
            if self.expected.remove(&text) {
                continue;
            }
            let bare = text.split('.').next().unwrap_or_default();
            if let Some(made) = self.made.get(bare) {
                self.reference_record(&key, made, findings)?;
                met.insert(bare.to_owned());
            } else if KeyShape::parse(key.as_bytes()).is_none() {
                report_key(findings, Code::KeyShape, &text);
            } else if key
                .reference()
                .is_none_or(|record| !self.unreadable.contains(&record))
            {
                report_key(findings, Code::KeyUnexpected, &text);
            }
        }
        for text in std::mem::take(&mut self.expected) {
            report_key(findings, Code::KeyMissing, &text);
        }
        for (key, made) in &self.made {
            if !met.contains(key) {
                report_key(findings, Code::KeyMissing, key);
            }
            if let Some(target) = made
                .target
                .as_ref()
                .filter(|target| !self.instances.contains(*target))
            {
                self.report(findings, Code::ReferenceDangling, made.by, || {
                    let ReferenceRecord {
                        namespace,
                        class,
                        property,
                        ..
                    } = &made.record;
                    format!(
                        "{namespace}:{class}, property {property}: no instance has the key {target}"
                    )
                });
            }
        }
        Ok(())
    }

    fn reference_record(&self, key: &Key, made: &Made, findings: &mut Findings) -> Result<()> {
        let Some(record) = key.reference() else {
            report_key(findings, Code::KeyReference, &key.to_string());
            return Ok(());
        };
        let bytes = match self.catalog.snapshot().record_view(record) {
            Ok(bytes) => bytes,
            // The structure has reported it.
            Err(error) => return corruption(error).map(drop),
        };
        let found = ReferenceRecordView::parse(&bytes).and_then(|view| view.to_reference());
        let same = |a: &str, b: &str| crate::cim::name::same(a, b);
        match found {
            Err(bad) => self.report(findings, Code::RecordReference, record, || bad.to_string()),
            Ok(found) => {
                let expected = &made.record;
                let agrees = same(&found.namespace, &expected.namespace)
                    && same(&found.class, &expected.class)
                    && same(&found.property, &expected.property)
                    && found.key == expected.key;
                if !agrees {
                    self.report(findings, Code::ReferenceContent, record, || {
                        let name = |record: &ReferenceRecord| {
                            format!(
                                "{}:{}, property {}",
                                record.namespace, record.class, record.property
                            )
                        };
                        format!(
                            "it names {}; its key denotes {}",
                            name(&found),
                            name(expected)
                        )
                    });
                }
            }
        }
        Ok(())
    }

    /// The keys of a namespace that begin with this text, with their records.
    fn records(
        &mut self,
        namespace: &str,
        family: Family,
        findings: &mut Findings,
    ) -> Result<Vec<(Key, RecordRef)>> {
        let prefix = match family {
            Family::Classes => "CD_",
            Family::Instances => "CI_",
        };
        let prefix = format!("{}{prefix}", self.catalog.keys().namespace(namespace));
        let mut found = Vec::new();
        for key in self
            .catalog
            .snapshot()
            .keys(KeyRange::prefix(prefix.as_bytes()), Direction::Forward)
        {
            match key {
                Ok(key) => {
                    self.census.has(family.counted());
                    // Another key of a record is not one that an object requires, and is reported
                    // as that.
                    match key
                        .reference()
                        .map(|record| self.catalog.admit(family, &key, record).map(|()| record))
                    {
                        Some(Ok(record)) if KeyShape::parse(key.as_bytes()).is_some() => {
                            found.push((key, record))
                        }
                        Some(Err(error)) => self.census.lose(&error),
                        _ => self.census.lose_by(Code::KeyShape.as_str()),
                    }
                }
                Err(error) => {
                    self.census.tear();
                    findings.push(corruption(error)?);
                }
            }
        }
        Ok(found)
    }

    fn stamp(&mut self, stamp: FileTime, record: RecordRef, findings: &mut Findings) {
        if let Some(other) = self.stamps.insert(stamp.0, record) {
            self.report(findings, Code::ObjectStampTwice, record, || {
                format!("{}, as that of record {other}", stamp.0)
            });
        }
    }

    fn unreadable(
        &mut self,
        error: Error,
        record: RecordRef,
        findings: &mut Findings,
    ) -> Result<()> {
        self.unreadable.insert(record);
        self.census.lose(&error);
        findings.push(corruption(error)?);
        Ok(())
    }

    fn report(
        &self,
        findings: &mut Findings,
        code: Code,
        record: RecordRef,
        detail: impl FnOnce() -> String,
    ) {
        findings.push_with(code, || {
            let site = self
                .catalog
                .snapshot()
                .image()
                .site(Space::Objects, record.page);
            Corruption::new(code, site, format!("record {}: {}", record.id, detail()))
        });
    }
}

fn report_key(findings: &mut Findings, code: Code, key: &str) {
    findings.push_with(code, || {
        Corruption::new(code, Site::file(FileRole::Index), key)
    });
}

/// Converts damage into a finding; any other error ends the run.
fn corruption(error: Error) -> Result<Corruption> {
    match error {
        Error::Corrupt(finding) => Ok(*finding),
        other => Err(other),
    }
}
