"""Makes preparation.json: what transformers' image processors make of a photo, by what their `preprocessor_config.json` says, for
tests/reference/preparation.rs.

    pip install transformers pillow numpy
    python tests/reference/make_preparation.py

The processors on Pillow are taken: those on torchvision resize a little differently, by 1 of 255 here and there. Pillow 13 resizes
photos that are higher than wide in another order than those before it where they shrink by little: such cases are left out.
"""

import json
import pathlib
import zlib

import numpy as np
import PIL
import transformers
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
PICTURES = HERE.parent / "data" / "images"
CLASSES = {
    name: getattr(transformers, f"{name}ImageProcessorPil") for name in ("ViT", "DeiT", "CLIP", "Bit", "ConvNext")
}

MODEL_TYPES = {"vit": "ViT", "deit": "DeiT", "convnext": "ConvNext", "convnextv2": "ConvNext"}

# What a folder says, and the `model_type` beside it.
CASES = [
    # Nothing but the class: its own defaults.
    ({"image_processor_type": "ViTImageProcessor"}, "vit"),
    ({"image_processor_type": "DeiTImageProcessor"}, "deit"),
    ({"image_processor_type": "CLIPImageProcessor"}, "vit"),
    ({"image_processor_type": "BitImageProcessor"}, "vit"),
    ({}, "vit"),
    ({}, "deit"),
    ({}, "convnext"),
    # A size that is that of the square: the share of a photo's shorter side, or the whole photo from 384 on.
    ({"size": {"shortest_edge": 32}}, "convnext"),
    ({"image_processor_type": "ConvNextFeatureExtractor", "size": 41, "crop_pct": 0.95, "resample": 2}, "convnextv2"),
    ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.5}, "convnext"),
    ({"size": {"shortest_edge": 35}, "crop_pct": 1.0, "do_center_crop": False}, "convnext"),
    # Old names, and a number for a size: a square for ViT and DeiT, the shorter edge for CLIP and BiT.
    ({"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "resample": 2}, "vit"),
    ({"feature_extractor_type": "DeiTFeatureExtractor", "size": 40, "crop_size": 33, "do_center_crop": True, "resample": 3}, "deit"),
    ({"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 33}, "vit"),
    ({"image_processor_type": "BitImageProcessor", "size": 16, "crop_size": 13, "resample": 2}, "vit"),
    ({"image_processor_type": "ViTImageProcessorFast", "size": [40, 40]}, "vit"),
    # A crop with margins of every remainder by 4.
    *(
        ({"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 23}, "do_center_crop": True,
          "crop_size": {"height": size, "width": size}, "resample": 3}, "vit")
        for size in (16, 17, 18, 19, 20)
    ),
    *(
        ({"size": {"height": 43, "width": 43}, "do_center_crop": True, "crop_size": size}, "vit")
        for size in (36, 37, 38, 40)
    ),
    # A crop that is not asked for.
    ({"size": 32, "crop_size": 20}, "vit"),
    ({"size": 32, "crop_size": 20, "do_center_crop": False}, "deit"),
    # Colours.
    ({"size": 32, "do_normalize": False}, "vit"),
    ({"size": 32, "do_normalize": False, "do_rescale": False}, "vit"),
    ({"size": 32, "do_rescale": False, "image_mean": [127.5, 120.0, 110.0], "image_std": [60.0, 61.0, 62.5]}, "vit"),
    ({"size": 32, "rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 1.0}, "vit"),
    ({"size": 32, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}, "vit"),
]


def processor(settings, model_type):
    named = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    name = MODEL_TYPES[model_type]
    if named is not None:
        name = next(known for known in CLASSES if named.startswith(known))
    return CLASSES[name].from_dict(dict(settings))


def main():
    cases = []
    for settings, model_type in CASES:
        for picture in ("rgb.png", "orientation_6.webp"):
            image = ImageOps.exif_transpose(Image.open(PICTURES / picture)).convert("RGB")
            made = processor(settings, model_type)
            length = made.size.get("shortest_edge") or made.size["height"]
            if image.height > image.width and image.width * 2 / 3 < length < image.height:
                continue
            pixels = made(image, return_tensors="np", do_rescale=False, do_normalize=False)["pixel_values"][0]
            values = made(image, return_tensors="np")["pixel_values"][0]
            assert pixels.dtype == np.uint8 and pixels.shape == values.shape
            size = pixels.shape[1]
            place = [size // 3, size // 2]
            cases.append(
                {
                    "settings": settings,
                    "model_type": model_type,
                    "picture": picture,
                    "size": size,
                    "crc32": zlib.crc32(pixels.transpose(1, 2, 0).tobytes()),
                    "place": place,
                    "values": [float(value) for value in values[:, place[0], place[1]]],
                }
            )
    reference = {"made by": f"transformers {transformers.__version__}, Pillow {PIL.__version__}", "cases": cases}
    (HERE / "preparation.json").write_text(json.dumps(reference, indent=1) + "\n")


main()
