"""Makes tests/data/images (one small picture in many formats and modes) and images.json: what Pillow and torchvision's
formulas make of them, for src/data/images.

    pip install pillow numpy
    python tests/reference/images.py
"""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps

WIDTH, HEIGHT = 61, 47
SIZE, RESIZE = 12, 14
HERE = pathlib.Path(__file__).parent
FILES = HERE.parent / "data" / "images"


def picture():
    """Slopes, waves, a hard edge and some noise: H x W x 3 bytes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    red = 255 * x / (WIDTH - 1)
    green = 127.5 + 127.5 * np.sin(x / 3 + y / 5)
    blue = np.where((x - 30) ** 2 + (y - 20) ** 2 < 150, 230, 40)
    noise = np.random.default_rng(7).integers(-12, 13, (HEIGHT, WIDTH, 3))
    return (np.stack([red, green, blue], -1) + noise).clip(0, 255).astype(np.uint8)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_16_bits(numbers, colour_type):
    """Pillow writes no 16-bit colour."""
    height, width = numbers.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def files():
    pixels = picture()
    rgb = Image.fromarray(pixels)
    grey = rgb.convert("L")
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    rgba, grey_alpha = rgb.copy(), grey.copy()
    rgba.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    palette = rgb.quantize(32)
    wide = (pixels.astype(np.uint16) << 8) + np.arange(WIDTH, dtype=np.uint16)[None, :, None] * 4

    yield "rgb.png", saved(rgb, format="PNG")
    yield "rgba.png", saved(rgba, format="PNG")
    yield "grey.png", saved(grey, format="PNG")
    yield "grey_alpha.png", saved(grey_alpha, format="PNG")
    yield "one_bit.png", saved(grey.convert("1"), format="PNG")
    yield "palette.png", saved(palette, format="PNG")
    yield "palette_transparent.png", saved(palette, format="PNG", transparency=3)
    yield "rgb_16_bits.png", png_of_16_bits(wide, 2)
    yield "grey_16_bits.png", png_of_16_bits(wide[:, :, 1], 0)
    yield "rgb.bmp", saved(rgb, format="BMP")
    yield "palette.bmp", saved(palette, format="BMP")
    yield "palette.gif", saved(palette, format="GIF")
    transparent = palette.copy()
    transparent.info["transparency"] = 3
    yield "transparent.gif", saved(transparent, format="GIF", transparency=3)
    second = Image.fromarray(255 - pixels).quantize(32)
    yield "animated.gif", saved(palette, format="GIF", save_all=True, append_images=[second])
    yield "lossless.webp", saved(rgb, format="WEBP", lossless=True)
    yield "alpha.webp", saved(rgba, format="WEBP", lossless=True, exact=True)
    yield "lossy.webp", saved(rgb, format="WEBP", quality=90)
    for name, subsampling in [("444", 0), ("422", 1), ("420", 2)]:
        yield f"{name}.jpg", saved(rgb, format="JPEG", quality=90, subsampling=subsampling)
    yield "progressive.jpg", saved(rgb, format="JPEG", quality=90, progressive=True)
    yield "restarts.jpg", saved(rgb, format="JPEG", quality=90, restart_marker_blocks=3)
    yield "grey.jpg", saved(grey, format="JPEG", quality=90)
    yield "rgb.jpg", saved(rgb, format="JPEG", quality=90, keep_rgb=True)
    cmyk = saved(rgb.convert("CMYK"), format="JPEG", quality=90)
    yield "cmyk.jpg", cmyk
    # The same numbers with the Adobe segment saying that they are YCCK.
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation_{orientation}.png", saved(rgb.reduce(3), format="PNG", exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "orientation_6.jpg", saved(rgb, format="JPEG", quality=90, exif=exif)
    yield "orientation_6.webp", saved(rgb, format="WEBP", lossless=True, exif=exif)


def opened(data):
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I;16"):
        # Pillow would clip to 255: the upper byte instead, as it does with 16-bit colour.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return ImageOps.exif_transpose(image).convert("RGB")


def transformed(image, size, resize, interpolation):
    """torchvision's Resize(resize) and CenterCrop(size) on a Pillow image."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new = resize, int(resize * long / short)
    image = image.resize(new if width <= height else new[::-1], interpolation)
    left, top = (int(round((side - size) / 2.0)) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def main():
    FILES.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, data in files():
        (FILES / name).write_bytes(data)
        image = transformed(opened(data), SIZE, RESIZE, Image.BILINEAR)
        expected[name] = image.tobytes().hex()
    resized = []
    rgb = Image.fromarray(picture())
    for interpolation in ["bilinear", "bicubic"]:
        for size, resize in [(9, 9), (16, 19), (40, 47), (20, 90), (101, 131)]:
            image = transformed(rgb, size, resize, Image.Resampling[interpolation.upper()])
            resized.append(
                {
                    "interpolation": interpolation,
                    "size": size,
                    "resize": resize,
                    "crc32": zlib.crc32(image.tobytes()),
                }
            )
    # Where a crop gets wider and less high, Pillow 13 resizes columns before rows, and bytes may differ by 1: none of these does.
    crops = []
    for interpolation in ["bilinear", "bicubic"]:
        for left, top, width, height, size in [(0, 0, 61, 47, 32), (7, 5, 20, 11, 24), (40, 3, 9, 9, 16), (10, 20, 32, 25, 8)]:
            part = rgb.crop((left, top, left + width, top + height))
            part = part.resize((size, size), Image.Resampling[interpolation.upper()])
            crops.append(
                {
                    "interpolation": interpolation,
                    "part": [left, top, width, height],
                    "size": size,
                    "crc32": zlib.crc32(part.tobytes()),
                }
            )
    enhancers = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
    }
    colours = []
    for kind, enhancer in enhancers.items():
        for factor in [0.0, 0.3, 0.6, 0.77, 1.0, 1.1, 1.4, 2.0]:
            image = enhancer(rgb).enhance(factor)
            colours.append({"kind": kind, "factor": factor, "crc32": zlib.crc32(image.tobytes())})
    reference = {
        "made by": f"Pillow {PIL.__version__}",
        "size": SIZE,
        "resize": RESIZE,
        "files": expected,
        "resized": resized,
        "crops": crops,
        "colours": colours,
    }
    text = json.dumps(reference, indent=1)
    (HERE / "images.json").write_text(text + "\n")


main()
