"""The run itself: the stages in order, what they did to the rows, and where to look next."""
