//! The floor bench with mimalloc as the global allocator, for the broker and for the channel. A
//! slow system allocator would hide differences between them.
//!
//! `cargo bench --manifest-path benches/mimalloc/Cargo.toml` runs it. It has the options of the
//! floor bench and prints the same lines.

#[path = "../floor.rs"]
mod floor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!("allocator: mimalloc");
    let mut options = floor::Options::read();
    options.mimalloc = true;
    floor::measure(options);
}
