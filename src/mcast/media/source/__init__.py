"""Where a content comes from: preparing, cutting, numbering, pacing, live inputs."""
