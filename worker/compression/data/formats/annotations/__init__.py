"""What an archive says of its pictures: their classes, boxes and masks, one module for each way to say it."""
