################################################################################
#
# beelance
#
################################################################################

BEELANCE_REPOSITORY = $(realpath $(BR2_EXTERNAL_BEELANCE_PATH)/../..)

define BEELANCE_USERS
	beelance -1 beelance -1 * - - - HTTP load balancer
endef

define BEELANCE_INSTALL_CONFIG
	$(INSTALL) -D -m 0644 $(BEELANCE_REPOSITORY)/cross/init/beelance.conf \
		$(TARGET_DIR)/etc/beelance.conf
endef
BEELANCE_POST_INSTALL_TARGET_HOOKS += BEELANCE_INSTALL_CONFIG

define BEELANCE_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(BEELANCE_REPOSITORY)/cross/init/S50beelance \
		$(TARGET_DIR)/etc/init.d/S50beelance
endef

define BEELANCE_INSTALL_INIT_OPENRC
	$(INSTALL) -D -m 0755 $(BEELANCE_REPOSITORY)/cross/init/beelance.openrc \
		$(TARGET_DIR)/etc/init.d/beelance
endef

define BEELANCE_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(BEELANCE_REPOSITORY)/cross/init/beelance.service \
		$(TARGET_DIR)/usr/lib/systemd/system/beelance.service
endef

ifeq ($(BR2_PACKAGE_BEELANCE_PREBUILT),y)

# Nothing is downloaded, nothing is built.
BEELANCE_VERSION = prebuilt
BEELANCE_SOURCE =

define BEELANCE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 \
		$(BEELANCE_REPOSITORY)/target/armv7-unknown-linux-musleabihf/release/beelance \
		$(TARGET_DIR)/usr/sbin/beelance
endef

$(eval $(generic-package))

else

# By git and not "local", so that Buildroot gets the crates as well.
BEELANCE_VERSION := $(shell git -C $(BEELANCE_REPOSITORY) rev-parse HEAD)
BEELANCE_SITE = file://$(BEELANCE_REPOSITORY)
BEELANCE_SITE_METHOD = git

define BEELANCE_MOVE_TO_SBIN
	mkdir -p $(TARGET_DIR)/usr/sbin
	mv $(TARGET_DIR)/usr/bin/beelance $(TARGET_DIR)/usr/sbin/beelance
endef
BEELANCE_POST_INSTALL_TARGET_HOOKS += BEELANCE_MOVE_TO_SBIN

$(eval $(cargo-package))

endif
