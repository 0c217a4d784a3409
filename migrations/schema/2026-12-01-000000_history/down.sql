drop table positions, identity, schedules, rejected, results, monitors, retirements, epochs, agents cascade;
