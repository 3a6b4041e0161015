import { notificationsEvents } from "../../contracts/backbone.ts";
import { backboneService } from "../../mixins/backbone.ts";

export default backboneService("notifications", notificationsEvents);
