include $(sort $(wildcard $(BR2_EXTERNAL_BEELANCE_PATH)/package/*/*.mk))
