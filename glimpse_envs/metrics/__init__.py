"""What recorded episodes tell: accuracy, belief, and where the gaze went."""
