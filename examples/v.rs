#![allow(missing_docs, unused)]
use cimrepo::repository::*;
fn main() {
    let a = std::env::args().nth(1).unwrap();
    let r = Repository::open_read_only(&a).unwrap();
    for all in [false, false, false, true] {
        let t = std::time::Instant::now();
        let rep = cimrepo::verify::verify(
            &r,
            cimrepo::verify::VerifyOptions { all_generations: all, ..Default::default() },
            &cimrepo::base::progress::Unobserved,
        )
        .unwrap();
        println!("{:?} consistent {}", t.elapsed(), rep.is_consistent());
        for g in &rep.generations {
            println!(
                "{} {} {:?} {} {} findings {} {:?}",
                g.generation,
                g.mapping,
                g.pages,
                g.keys,
                g.records,
                g.findings.len(),
                g.unchecked
            );
            for f in g.findings.iter().take(5) {
                println!("{f}");
            }
        }
    }
}
