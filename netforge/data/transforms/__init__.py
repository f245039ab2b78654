"""From stored pixels to network input: `transform_param` and what it asks for."""
