//! The floor bench with mimalloc as the global allocator, on both sides: then nothing hides behind the system's.
//!
//! `cargo bench --manifest-path benches/mimalloc/Cargo.toml`; it takes the floor bench's options and prints its lines.

#[path = "../floor.rs"]
mod floor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!("allocator: mimalloc");
    floor::main();
}
