"""Training: recipes, losses, distillation and the loop."""
