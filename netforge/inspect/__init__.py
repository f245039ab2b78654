"""Looking into nets and runs: pages of HTML, charts, diagrams, pictures of weights and embeddings, run reports."""
