"""The decisions of every machine in states/: guards, actions, deadlines. Pure: nothing here touches the world."""
