//! Devices by name, and the class of a device: what about it changes the bits of a result.

use burn::tensor::Device;

use crate::error::{Error, Result};

/// The device called `name`: `cpu`.
///
/// # Errors
/// A device that this binary was built without, or that does not exist.
pub fn device(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        _ => Err(Error::usage(format!("this refire has no device `{name}`"))
            .help("set device = \"cpu\"")),
    }
}

/// What about the device called `name` changes the bits of a result: `cpu x86-64-v4`.
#[must_use]
pub fn device_class(name: &str) -> String {
    match name {
        "cpu" => format!("cpu {}", cpu_level()),
        other => other.to_string(),
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_level() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "x86-64-v4"
    } else if std::arch::is_x86_feature_detected!("fma") {
        "x86-64-v3"
    } else {
        "x86-64"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_level() -> &'static str {
    std::env::consts::ARCH
}
