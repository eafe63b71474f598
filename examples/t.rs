#![allow(missing_docs, unused)]
use cimrepo::repository::*;
fn main() {
    let a = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    let r = Repository::open_read_only(&a).unwrap();
    println!("open {:?} whole {} refused {:?}", t.elapsed(), r.is_whole(), r.refused());
    let t = std::time::Instant::now();
    println!("{:?} {:?}", r.snapshot().counts(), t.elapsed());
    let t = std::time::Instant::now();
    println!("{:?} {:?}", r.snapshot().counts(), t.elapsed());
}
