//! Tells the linker where libtorch lies, so that binaries and tests run without `LD_LIBRARY_PATH`.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rustc-check-cfg=cfg(has_cuda)");
    // torch-sys tells where it found libtorch; LIBTORCH is what it was told by trainer/setup.
    let lib = std::env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("LIBTORCH").map(|root| PathBuf::from(root).join("lib")));
    // An image puts libtorch beside the binary; it is looked for there first.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib");
    let Some(lib) = lib else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    // No symbol of libtorch_cuda is named by the program, so the linker would leave it out, and
    // then no GPU is found at run time.
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-cfg=has_cuda");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}
