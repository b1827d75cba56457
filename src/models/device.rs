//! Devices by name, and the class of a device: what about it changes the bits of a result.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result, contained};

/// Makes the device with an index.
type Open = fn(usize) -> Device;

/// A kind of device: the word in `device = "…"`, before a colon and an index.
#[derive(Clone, Copy, Debug)]
pub struct DeviceKind {
    /// The word.
    pub name: &'static str,
    /// The cargo feature that builds it in; none if every build has it.
    pub feature: Option<&'static str>,
    /// What computes.
    pub about: &'static str,
    /// Whether an index can follow, as in `cuda:1`.
    pub indexed: bool,
    /// Makes the device with this index; none if this binary was built without it.
    open: Option<Open>,
}

impl DeviceKind {
    /// Whether this binary has it.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.open.is_some()
    }
}

/// `Some(open)` if the cargo feature is on.
macro_rules! with_feature {
    ($feature:literal, $open:expr) => {{
        #[cfg(feature = $feature)]
        let open: Option<Open> = Some($open);
        #[cfg(not(feature = $feature))]
        let open: Option<Open> = None;
        open
    }};
}

/// Every kind of device that refire can be built with.
pub const DEVICES: &[DeviceKind] = &[
    DeviceKind {
        name: "cpu",
        feature: None,
        about: "the processor, by Burn's Flex backend",
        indexed: false,
        open: Some(|_| Device::flex()),
    },
    DeviceKind {
        name: "libtorch",
        feature: Some("libtorch"),
        about: "the processor, by PyTorch's C++ library",
        indexed: false,
        open: with_feature!("libtorch", libtorch),
    },
    DeviceKind {
        name: "libtorch-cuda",
        feature: Some("libtorch"),
        about: "an NVIDIA GPU, by PyTorch's C++ library",
        indexed: true,
        open: with_feature!("libtorch", libtorch_cuda),
    },
    DeviceKind {
        name: "cuda",
        feature: Some("cuda"),
        about: "an NVIDIA GPU",
        indexed: true,
        open: with_feature!("cuda", |index| Device::cuda(index)),
    },
    DeviceKind {
        name: "rocm",
        feature: Some("rocm"),
        about: "an AMD GPU",
        indexed: true,
        open: with_feature!("rocm", |index| Device::rocm(index)),
    },
    DeviceKind {
        name: "wgpu",
        feature: Some("wgpu"),
        about: "any GPU, by WebGPU",
        indexed: false,
        open: with_feature!("wgpu", |_| Device::wgpu(
            burn::tensor::DeviceKind::DefaultDevice
        )),
    },
    DeviceKind {
        name: "metal",
        feature: Some("metal"),
        about: "Apple's GPU",
        indexed: false,
        open: with_feature!("metal", |_| Device::metal(
            burn::tensor::DeviceKind::DefaultDevice
        )),
    },
];

#[cfg(feature = "libtorch")]
#[expect(
    deprecated,
    reason = "Burn recommends other backends, but none of them is PyTorch's own library"
)]
fn libtorch(_: usize) -> Device {
    Device::libtorch()
}

#[cfg(feature = "libtorch")]
#[expect(
    deprecated,
    reason = "Burn recommends its own CUDA backend, which needs LLVM where it is built"
)]
fn libtorch_cuda(index: usize) -> Device {
    Device::libtorch_cuda(index)
}

/// Whether `device` computes on the processor with other code than Burn's own.
pub(super) fn is_libtorch(device: &Device) -> bool {
    #[cfg(feature = "libtorch")]
    return *device == libtorch(0);
    #[cfg(not(feature = "libtorch"))]
    {
        let _ = device;
        false
    }
}

/// Sets the generators that are drawn from for `device`: its own, and the processor's, so that dropout is the same where that draws for it.
pub fn reseed(device: &Device, seed: u64) {
    device.seed(seed);
    let processor = Device::flex();
    if *device != processor {
        processor.seed(seed);
    }
}

/// The device called `name`: `cpu`, `libtorch`, `cuda:0`.
///
/// # Errors
/// A device that this binary was built without, or that does not exist; one that this machine does not have.
pub fn device(name: &str) -> Result<Device> {
    let (open, index) = opener(name)?;
    let opened = contained(|| {
        let device = open(index);
        // Where there is no such hardware, this is seen with the first tensor.
        if device != Device::flex() {
            let _ = Tensor::<1>::zeros([1], &device).into_data();
        }
        device
    });
    opened.map_err(|why| cannot_open(name, &why))
}

/// Refuses what [`device`] refuses by its name alone; no hardware is looked at.
///
/// # Errors
/// A device that this binary was built without, or that does not exist.
pub fn check_device(name: &str) -> Result<()> {
    opener(name).map(drop)
}

/// What makes the device called `name`, and its index.
fn opener(name: &str) -> Result<(Open, usize)> {
    let (kind, index) = parse(name)?;
    let Some(open) = kind.open else {
        let feature = kind.feature.unwrap_or_default();
        return Err(
            Error::usage(format!("this refire was built without the device `{name}`")).help(format!(
                "build it with `cargo build --release --features {feature}`, or set device = \"cpu\""
            )),
        );
    };
    Ok((open, index))
}

/// The error for a device whose library panics with `why` when it is opened.
fn cannot_open(name: &str, why: &str) -> Error {
    let why = why.lines().next().unwrap_or_default();
    Error::stage(format!("the device `{name}` cannot be opened"))
        .note(format!("its library says: {why}"))
        .help("is the hardware there, and its driver installed? device = \"cpu\" computes on every machine")
}

/// The kind and the index that a name stands for.
fn parse(name: &str) -> Result<(&'static DeviceKind, usize)> {
    let (word, index) = match name.split_once(':') {
        Some((word, index)) => (word, Some(index)),
        None => (name, None),
    };
    let Some(kind) = DEVICES.iter().find(|kind| kind.name == word) else {
        let names: Vec<&str> = DEVICES.iter().map(|kind| kind.name).collect();
        return Err(Error::usage(format!("there is no device `{name}`"))
            .did_you_mean(word, names.iter().copied())
            .note(format!("devices: {}", names.join(", "))));
    };
    let index = match index {
        None => 0,
        Some(_) if !kind.indexed => {
            return Err(
                Error::usage(format!("`{word}` is one device: it takes no index"))
                    .help(format!("set device = \"{word}\"")),
            );
        }
        Some(index) => index.parse().map_err(|_| {
            Error::usage(format!("`{index}` is not the index of a device"))
                .help(format!("set device = \"{word}:0\""))
        })?,
    };
    Ok((kind, index))
}

/// What about the device called `name` changes the bits of a result: `cpu x86-64-v4`. One GPU of a machine is as good as
/// another, so the index is left out.
#[must_use]
pub fn device_class(name: &str) -> String {
    match name.split_once(':').map_or(name, |(word, _)| word) {
        word @ ("cpu" | "libtorch") => format!("{word} {}", cpu_level()),
        word => word.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> String {
        device(name)
            .expect_err("it is refused")
            .message()
            .to_string()
    }

    #[test]
    fn names_are_read() {
        assert!(device("cpu").is_ok());
        assert_eq!(refusal("gpu"), "there is no device `gpu`");
        assert_eq!(refusal("cpu:1"), "`cpu` is one device: it takes no index");
        assert_eq!(refusal("cuda:x"), "`x` is not the index of a device");
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let error = format!("{:?}", cannot_open("wgpu", "no adapter\nbacktrace"));
        assert!(
            error.contains("the device `wgpu` cannot be opened"),
            "{error}"
        );
        assert!(
            error.contains("no adapter") && !error.contains("backtrace"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_built_in_names_its_feature() {
        for kind in DEVICES.iter().filter(|kind| !kind.is_built_in()) {
            let error = device(kind.name).expect_err("it is refused");
            assert!(format!("{error:?}").contains(kind.feature.expect("it has one")));
        }
    }
}
