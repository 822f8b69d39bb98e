"""What goes with an artifact where it is published: model card, bill of materials, the recipe that makes it again."""
