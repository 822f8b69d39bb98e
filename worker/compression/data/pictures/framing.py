"""Put pixels into the frame of a model's input."""

from PIL import Image

from worker.compression.data.pictures.decode import MAX_PIXELS, BadPicture, Color, in_color, pixels
from worker.compression.data.pictures.geometry import Geometry, Placement, placement
from worker.compression.ir.arrays import Array


def placed_pixels(image: Image.Image, geometry: Geometry, color: Color) -> Array:
    """Return the picture in its colours and its place, uint8 [height, width, channels]. Raises `BadPicture`."""
    place = placement((image.height, image.width), geometry)
    resizing = geometry.letterbox or geometry.resize
    fill = geometry.letterbox.fill if geometry.letterbox else 0
    return pixels(
        framed(in_color(image, color), place, resizing.filter if resizing else "nearest", fill), color
    )


def framed(image: Image.Image, place: Placement, resampling: str, fill: int) -> Image.Image:
    """Resize and move the picture into its frame, `fill` around it. Raises `BadPicture`."""
    height, width = place.resized
    if height * width > MAX_PIXELS:
        raise BadPicture(
            f"{image.width} × {image.height} pixels would be resized to {width} × {height}, more than "
            f"{MAX_PIXELS // 1_000_000} million"
        )
    if (height, width) != place.stored:
        image = image.resize((width, height), Image.Resampling[resampling.upper()])
    top, left = place.offset
    if place.offset == (0, 0) and place.frame == place.resized:
        return image
    inside = top <= 0 and left <= 0 and top + height >= place.frame[0] and left + width >= place.frame[1]
    if inside or fill == 0:
        return image.crop((-left, -top, place.frame[1] - left, place.frame[0] - top))
    canvas = Image.new(image.mode, (place.frame[1], place.frame[0]), (fill,) * len(image.getbands()))
    canvas.paste(image, (left, top))
    return canvas
