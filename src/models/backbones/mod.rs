//! The backbones: the networks below the heads, one file an architecture. A new one is its file and two lines here: the `mod` and a
//! line of the list, from which the registry follows.

mod albert;
mod batch_norm;
mod bert;
mod convolution;
mod deberta;
mod distilbert;
mod efficientnet;
mod electra;
mod encoder;
mod mobilenet;
mod modernbert;
mod mpnet;
mod pooling;
mod resnet;
mod resnet_cifar;
mod roberta;
mod rotary;
mod transformer;
mod vit;

use burn::module::Module;

pub(super) use transformer::Act;

use super::architecture::{Architecture, Blocks};

/// Makes the type that holds a backbone of any architecture, and the registry of their rows: `TYPE in FILE`, where the file has a row
/// called `ARCHITECTURE`.
macro_rules! backbones {
    ($($backbone:ident in $file:ident),+ $(,)?) => {
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
        pub const ARCHITECTURES: &[Architecture] = &[$($file::ARCHITECTURE),+];
    };
}

backbones! {
    Bert in bert,
    Roberta in roberta,
    DistilBert in distilbert,
    MpNet in mpnet,
    Electra in electra,
    Albert in albert,
    ModernBert in modernbert,
    Deberta in deberta,
    MobileNetV2 in mobilenet,
    EfficientNetLite in efficientnet,
    ResNet in resnet,
    CifarResNet in resnet_cifar,
    Vit in vit,
}
