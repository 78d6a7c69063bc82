DROP FUNCTION live_counts();
