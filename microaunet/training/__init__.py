"""How the networks learn: recipes, losses, distillation and the loop."""
