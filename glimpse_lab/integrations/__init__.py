"""Other tools: RL Baselines3 Zoo, the Hugging Face hub, Weights & Biases, TensorBoard."""
