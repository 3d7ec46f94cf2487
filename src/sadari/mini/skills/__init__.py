"""Synthetic skill data for `mini`: each module writes rows of one skill, varied so widely that only the skill can be learnt."""
