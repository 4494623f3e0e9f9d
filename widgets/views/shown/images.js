// Pictures: a batch as one, height x width x 3 bytes.

SHOWN.images = (canvas, { image, height, width }) => paint(canvas, image, height, width);
