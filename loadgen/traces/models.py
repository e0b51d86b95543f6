"""What one update weighs: models by their true parameter counts."""

MODEL_BYTES = {
    "resnet18": 11_689_512 * 4,
    "mobilenet_v3_small": 2_542_856 * 4,
    "efficientnet_v2_s": 21_458_488 * 4,
    "swin_v2_t": 28_351_570 * 4,
    "lora_7b": 8_388_608 * 2,
}
"""Bytes of one update: float32 weights as torchvision counts them; for the adapter of a 7B-parameter model bfloat16
LoRA of rank 16 on the query and value projections of 32 layers of width 4,096."""
