//! The backbones: the networks below the heads, one file an architecture. A new one is its file and two lines here: the `mod` and a
//! line of the list, from which the registry follows. Where several libraries have the same network under other names, the file of one
//! holds the network, and the others rows alone.

mod albert;
mod batch_norm;
mod bert;
mod clip;
mod clip_config;
mod convnext;
mod convnext_config;
mod convnext_timm;
mod convolution;
mod deberta;
mod dinov2;
mod dinov2_config;
mod distilbert;
mod drop_path;
mod efficientnet;
mod efficientnet_b;
mod electra;
mod encoder;
mod excitation;
pub(in crate::models) mod layer_norm;
mod mobilenet;
mod mobilenet_v3;
mod modernbert;
mod mpnet;
mod patches;
mod pooling;
mod positions;
mod pre_norm;
mod regnet;
mod resnet;
mod resnet_cifar;
mod resnet_transformers;
mod roberta;
mod rotary;
mod siglip;
mod stages;
mod swin;
mod transformer;
mod vit;

use burn::module::Module;

pub(super) use transformer::Act;

use super::architecture::{Architecture, Blocks};

/// Makes the type that holds a backbone of any architecture, and the registry of their rows: `TYPE in FILE`, where the file has a row
/// called `ARCHITECTURE`, or `TYPE in FILE, FILE` where others have rows of the same type.
macro_rules! backbones {
    ($($backbone:ident in $file:ident $(, $other:ident)*;)+) => {
        /// A backbone of any architecture.
        #[derive(Module, Debug)]
        pub(super) enum Backbone {
            $($backbone($file::$backbone)),+
        }

        $(impl From<$file::$backbone> for Backbone {
            fn from(backbone: $file::$backbone) -> Self {
                Self::$backbone(backbone)
            }
        })+

        impl Backbone {
            /// What its file gives.
            pub(super) fn inner(&self) -> &dyn Blocks {
                match self {
                    $(Self::$backbone(backbone) => backbone),+
                }
            }
        }

        /// Every architecture.
        pub const ARCHITECTURES: &[Architecture] = &[
            $($file::ARCHITECTURE, $($other::ARCHITECTURE,)*)+
        ];
    };
}

backbones! {
    Bert in bert;
    Roberta in roberta;
    DistilBert in distilbert;
    MpNet in mpnet;
    Electra in electra;
    Albert in albert;
    ModernBert in modernbert;
    Deberta in deberta;
    MobileNetV2 in mobilenet;
    EfficientNet in efficientnet, efficientnet_b;
    ResNet in resnet, resnet_transformers;
    CifarResNet in resnet_cifar;
    Vit in vit;
    ConvNext in convnext, convnext_timm;
    Dinov2 in dinov2;
    VisionTower in clip, siglip;
    MobileNetV3 in mobilenet_v3;
    Swin in swin;
    RegNet in regnet;
}
