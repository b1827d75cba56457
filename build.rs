//! How the binary is linked.

/// On Linux the binary is linked to a fixed address. Libraries of tensors and tables have 150,000 pointers to functions
/// in their tables, which would be set anew at every start, in 750 pages of memory: two thirds of what `refire
/// --version` took, and as long again for every worker.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(name).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bin=refire=-no-pie");
    }
}
